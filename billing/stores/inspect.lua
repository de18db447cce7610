-- Read everything in a partition except its outbox, for an audit, whether it has been filled or not.
-- Returns {BAL, CSEQ, OWN, CALL, FROZ, OUT, CAPS, META, DONE, BEGAN, ENDS, AGE, USED, {key of a wrong
-- type, whose rows are left out, ...}}: hashes and sorted sets as {field, value, ...}.
local found, foreign = {}, {}
local function read(keys, kind, command, ...)
  for _, key in ipairs(keys) do
    -- Asked first: reading a key of another type would fail the whole script.
    local is = redis.call('TYPE', key).ok
    if is == kind or is == 'none' then
      found[#found + 1] = command and redis.call(command, key, ...) or nil
    else
      foreign[#foreign + 1] = key
      found[#found + 1] = command and {} or nil
    end
  end
end
read({BAL, CSEQ, OWN, CALL}, 'hash', 'HGETALL')
read({FROZ, OUT}, 'set', 'SMEMBERS')
read({CAPS, META, DONE, BEGAN, ENDS}, 'hash', 'HGETALL')
read({AGE, USED}, 'zset', 'ZRANGE', 0, -1, 'WITHSCORES')
read({LED}, 'stream')
found[#found + 1] = foreign
return found
