-- Read a whole partition except its tombstones and its outbox, at one moment.
-- Returns {BAL, CSEQ, OWN, CALL, FROZ, CAPS}, hashes as {field, value, ...}.
if not is_ready() then return not_ready() end
local found = {}
for i, key in ipairs({BAL, CSEQ, OWN, CALL}) do found[i] = redis.call('HGETALL', key) end
found[5] = redis.call('SMEMBERS', FROZ)
found[6] = redis.call('HGETALL', CAPS)
return found
