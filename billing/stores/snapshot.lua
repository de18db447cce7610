-- Read a whole partition except its tombstones and its outbox, at one moment, in service or not.
-- Returns {BAL, CSEQ, OWN, CALL, FROZ, CAPS}, hashes as {field, value, ...}.
local found = {}
for i, key in ipairs({BAL, CSEQ, OWN, CALL}) do found[i] = redis.call('HGETALL', key) end
found[5] = redis.call('SMEMBERS', FROZ)
found[6] = redis.call('HGETALL', CAPS)
return found
