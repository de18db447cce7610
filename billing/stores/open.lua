-- Place a call's first hold.
-- ARGV: call, account, owner (as in OWN), first, want, most open calls, record,
--   JSON [[cap, limit], ...], seconds a cap is kept unused, caps to trim at most,
--   '1' for a call that runs already: it is opened whatever it can hold, most calls to share with
-- Returns {result, held, balance, wanted}.
if not is_ready() then return not_ready() end
local call, account = ARGV[1], ARGV[2]
local first, want, calls_max = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local balance = available(account)

local open = redis.call('HGET', CALL, call)
if open then
  local held = tonumber(open:match('^%d+'))
  return {'opened', held, balance, held}
end
if redis.call('HEXISTS', DONE, call) == 1 then return {'already_closed', 0, balance, 0} end
local is_new = ARGV[11] ~= '1'
if is_new and redis.call('SISMEMBER', FROZ, account) == 1 then return {'frozen', 0, balance, 0} end
if is_new and tonumber(redis.call('HGET', META, 'n:' .. account) or '0') >= calls_max then
  return {'too_many_calls', 0, balance, 0}
end
if is_new and first > balance then return {'insufficient_credit', 0, balance, 0} end

local caps, reach = {}, balance
for i, cap in ipairs(cjson.decode(ARGV[8])) do
  caps[i] = cap[1]
  reach = math.min(reach, cap[2] - tonumber(redis.call('HGET', CAPS, cap[1]) or '0'))
end
if is_new and first > reach then return {'cap_reached', 0, balance, 0} end

-- Holds are not taken back: none may be more than a fair part, however many calls come after it.
local sharers = tonumber(ARGV[12])
if is_new and sharers > 0 then want = math.min(want, math.max(first, math.floor(reach / sharers))) end
local held = math.max(0, math.min(want, reach))
balance = balance - held
redis.call('HSET', BAL, account, whole(balance))
redis.call('HSET', CALL, call, whole(held) .. ':0')
redis.call('HSET', OWN, call, ARGV[3])
redis.call('HINCRBY', META, 'n:' .. account, 1)
if #caps > 0 then
  local now = clock()
  spend(caps, held, now)
  local unused = redis.call(
    'ZRANGEBYSCORE', USED, '-inf', now - tonumber(ARGV[9]), 'LIMIT', 0, tonumber(ARGV[10]))
  if #unused > 0 then
    redis.call('HDEL', CAPS, unpack(unused))
    redis.call('ZREM', USED, unpack(unused))
  end
end
redis.call('HSET', BEGAN, call, ARGV[7])
tell_opening(call, account, whole(held), ARGV[7])
return {'opened', held, balance, want}
