-- Post a call's final price: void the rest of its hold, or take what grace left unpaid as far as
-- the balance reaches and write off the rest. The tombstone makes it happen once.
-- ARGV: call, account, final, seconds, record, tombstone seconds, tombstones to trim at most,
--   the record in brief, '1' for a call that ended for want of credit
-- Returns {result, charged, written off, balance}.
if not is_ready() then return not_ready() end
local call, account, final = ARGV[1], ARGV[2], tonumber(ARGV[3])
local balance = available(account)

local done = redis.call('HGET', DONE, call)
if done then return {'already_closed', tonumber(done), 0, balance} end
local open = redis.call('HGET', CALL, call)
if not open then return {'unknown', 0, 0, balance} end
local owner = owner_in(redis.call('HGET', OWN, call))
if owner.account ~= account then return {'other_account', 0, 0, balance} end

local held, confirmed = open:match('^(%d+):(%d+)$')
held, confirmed = tonumber(held), tonumber(confirmed)
local charged = final
if final > held then charged = held + math.max(0, math.min(final - held, balance)) end
balance = balance + held - charged
redis.call('HSET', BAL, account, whole(balance))
redis.call('HDEL', CALL, call)
redis.call('HDEL', OWN, call)
-- What a call leaves that ran out of credit does not reach for the others either: all end together.
if ARGV[9] ~= '1' then
  is_out_no_more(account)
elseif redis.call('SISMEMBER', OUT, account) == 1 then
  redis.call('HSET', META, 'e:' .. account, '1')
end
if redis.call('HINCRBY', META, 'n:' .. account, -1) <= 0 then
  redis.call('HDEL', META, 'n:' .. account, 'b:' .. account)
  is_out_no_more(account)
elseif confirmed > 0 then
  change_burn(account, -owner.per_minute)
end

local now = clock()
spend(owner.caps, charged - held, now)
redis.call('HSET', DONE, call, whole(charged))
redis.call('ZADD', AGE, now, call)
local written_off = whole(final - charged)
local entry = tell_end(call, account, whole(charged), ARGV[4], written_off, ARGV[5])
remember_end(call, account, entry, whole(charged), written_off, ARGV[4], ARGV[8])

local expired = redis.call(
  'ZRANGEBYSCORE', AGE, '-inf', now - tonumber(ARGV[6]), 'LIMIT', 0, tonumber(ARGV[7]))
if #expired > 0 then
  redis.call('HDEL', DONE, unpack(expired))
  redis.call('HDEL', ENDS, unpack(expired))
  redis.call('HDEL', BEGAN, unpack(expired))
  redis.call('ZREM', AGE, unpack(expired))
end
return {'closed', charged, final - charged, balance}
