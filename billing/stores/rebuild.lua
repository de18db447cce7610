-- Fill an empty partition from the book of record.
-- ARGV: JSON [accounts, open calls, closed calls, frozen], rows as in PartitionState
-- Returns 1, 0 when the partition was ready already, -1 when its outbox must be drained first.
if is_ready() then return 0 end
if redis.call('XLEN', LED) > 0 then return -1 end
redis.call('DEL', BAL, CALL, OWN, DONE, CSEQ, FROZ, META, AGE)
local accounts, open, closed, frozen = unpack(cjson.decode(ARGV[1]))
for _, row in ipairs(accounts) do
  redis.call('HSET', BAL, row[1], whole(row[2]))
  redis.call('HSET', CSEQ, row[1], whole(row[3]))
end
for _, row in ipairs(open) do
  redis.call('HSET', CALL, row[1], whole(row[3]) .. ':' .. whole(row[4]))
  redis.call('HSET', OWN, row[1], cjson.encode({row[2], row[5]}))
  redis.call('HINCRBY', META, 'n:' .. row[2], 1)
end
local now = redis.call('TIME')[1]
for _, row in ipairs(closed) do
  redis.call('HSET', DONE, row[1], whole(row[2]))
  redis.call('ZADD', AGE, now, row[1])
end
for _, account in ipairs(frozen) do redis.call('SADD', FROZ, account) end
redis.call('HSET', META, 'ready', '1')
return 1
