-- Fill an empty partition from the book of record.
-- ARGV: JSON [accounts, open calls, closed calls, frozen, spent], rows as in PartitionState
-- Returns 1, 0 when the partition was ready already, -1 when its outbox must be drained first.
if is_ready() then return 0 end
if redis.call('XLEN', LED) > 0 then return -1 end
redis.call('DEL', BAL, CALL, OWN, DONE, CSEQ, FROZ, META, AGE, CAPS, USED, ENDS)
local accounts, open, closed, frozen, spent = unpack(cjson.decode(ARGV[1]))
for _, row in ipairs(accounts) do
  redis.call('HSET', BAL, row[1], whole(row[2]))
  redis.call('HSET', CSEQ, row[1], whole(row[3]))
end
for _, row in ipairs(open) do
  local call, account, node, held, seconds, carrier_call, per_minute, caps = unpack(row)
  redis.call('HSET', CALL, call, whole(held) .. ':' .. whole(seconds))
  keep_owner(call, {account = account, node = node, carrier_call = carrier_call,
    per_minute = per_minute, caps = caps})
  redis.call('HINCRBY', META, 'n:' .. account, 1)
  if seconds > 0 then change_burn(account, per_minute) end
end
local now = clock()
for _, row in ipairs(closed) do
  redis.call('HSET', DONE, row[1], whole(row[2]))
  redis.call('ZADD', AGE, now, row[1])
end
for _, account in ipairs(frozen) do redis.call('SADD', FROZ, account) end
for _, row in ipairs(spent) do spend({row[1]}, row[2], now) end
redis.call('HSET', META, 'ready', '1', 'filling', table.concat(redis.call('TIME'), '.'))
return 1
