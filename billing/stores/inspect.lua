-- Read all that a partition holds but its outbox, for an audit, whether it has been filled or not.
-- Returns {BAL, CSEQ, OWN, CALL, FROZ, OUT, CAPS, META, DONE, BEGAN, ENDS, AGE, USED}: hashes and
-- sorted sets as {field, value, ...}.
local found = {}
for i, key in ipairs({BAL, CSEQ, OWN, CALL}) do found[i] = redis.call('HGETALL', key) end
for i, key in ipairs({FROZ, OUT}) do found[4 + i] = redis.call('SMEMBERS', key) end
for i, key in ipairs({CAPS, META, DONE, BEGAN, ENDS}) do
  found[6 + i] = redis.call('HGETALL', key)
end
for i, key in ipairs({AGE, USED}) do
  found[11 + i] = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
end
return found
