-- Post a call's final price: return the rest of its hold, or, where grace has left seconds unpaid,
-- take their price as far as the balance and the call's caps reach and write off the rest. The
-- tombstone makes this happen once.
-- ARGV: call, account, final, seconds, record, seconds for which tombstones are kept, most tombstones
--   to trim, the record in brief, '1' if the call ended for want of credit, and for each of its caps
--   name and limit
-- Returns {result, charged, written off, balance}, and of a call that is closed already also for how
-- many seconds, 0 where that is not known, and 1 if these very arguments have closed it.
if not is_ready() then return not_ready() end
local call, account, final = ARGV[1], ARGV[2], tonumber(ARGV[3])
local balance = available(account)

-- The node, another that takes it for dead, and the carrier's callback may all close a call: the
-- first one counts.
local done = redis.call('HGET', DONE, call)
if done then
  local seconds, is_repeat, row = 0, 0, redis.call('HGET', ENDS, call)
  if row then
    local _, charged, written_off, owed, record = end_in(row)
    seconds = tonumber(owed)
    -- The answer to whoever has closed it was lost, and they ask again.
    local is_price = tonumber(charged) + tonumber(written_off) == final
    if is_price and owed == ARGV[4] and record == ARGV[8] then is_repeat = 1 end
  end
  return {'already_closed', tonumber(done), 0, balance, seconds, is_repeat}
end
local open = redis.call('HGET', CALL, call)
if not open then return {'unknown', 0, 0, balance} end
local owner = owner_in(redis.call('HGET', OWN, call))
-- A bug of the caller: no other account's balance may pay for this call.
if owner.account ~= account then return {'other_account', 0, 0, balance} end

local held, confirmed = open:match('^(%d+):(%d+)$')
held, confirmed = tonumber(held), tonumber(confirmed)
local charged = final
-- A negative balance pays nothing of it: it stays as it is.
if final > held then
  local reach = balance
  for i = 10, #ARGV, 2 do
    local spent = tonumber(redis.call('HGET', CAPS, ARGV[i]) or '0')
    reach = math.min(reach, tonumber(ARGV[i + 1]) - spent)
  end
  charged = held + math.max(0, math.min(final - held, reach))
end
balance = balance + held - charged
redis.call('HSET', BAL, account, whole(balance))
redis.call('HDEL', CALL, call)
redis.call('HDEL', OWN, call)
count_key(owner.key, -1)
-- What this call leaves was not enough for its own next second, so it must not carry a cheaper call
-- on: if credit ran out, the others are told to end ('e:'). Any other end frees credit for them.
if ARGV[9] ~= '1' then
  credit_is_back(account)
elseif redis.call('SISMEMBER', OUT, account) == 1 then
  redis.call('HSET', META, 'e:' .. account, '1')
end
-- The last call: nobody is left to end, and the marks would outlive their meaning.
if redis.call('HINCRBY', META, 'n:' .. account, -1) <= 0 then
  redis.call('HDEL', META, 'n:' .. account, 'b:' .. account)
  credit_is_back(account)
elseif confirmed > 0 then
  change_burn(account, -owner.per_minute)
end

local now = clock()
-- Its caps have counted the hold, and keep only the price.
spend(owner.caps, charged - held, now)
redis.call('HSET', DONE, call, whole(charged))
redis.call('ZADD', AGE, now, call)
local written_off = whole(final - charged)
local entry = tell_end(call, account, whole(charged), ARGV[4], written_off, ARGV[5])
remember_end(call, account, entry, whole(charged), written_off, ARGV[4], ARGV[8])

-- A few at each close: one tombstone is added, so that the set shrinks to its day without a sweep.
local expired = redis.call(
  'ZRANGEBYSCORE', AGE, '-inf', now - tonumber(ARGV[6]), 'LIMIT', 0, tonumber(ARGV[7]))
if #expired > 0 then
  redis.call('HDEL', DONE, unpack(expired))
  redis.call('HDEL', ENDS, unpack(expired))
  redis.call('HDEL', BEGAN, unpack(expired))
  redis.call('ZREM', AGE, unpack(expired))
end
return {'closed', charged, final - charged, balance}
