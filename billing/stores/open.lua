-- Place a call's first hold.
-- ARGV: call, account, owner (as in OWN), first, want, most open calls, record,
--   JSON [[cap, limit], ...], seconds for which an unused cap is kept, most caps to trim,
--   '1' if the call is live already and is opened whatever it can hold, most calls to share with,
--   API key or '', most open calls of that key, 0 for any number
-- Returns {result, held, balance, wanted}.
if not is_ready() then return not_ready() end
local call, account = ARGV[1], ARGV[2]
local first, want, calls_max = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local balance = available(account)

-- A repeat gets the hold as it is, which a tick may have raised since.
local open = redis.call('HGET', CALL, call)
if open then
  local held = tonumber(open:match('^%d+'))
  return {'opened', held, balance, held}
end
if redis.call('HEXISTS', DONE, call) == 1 then return {'already_closed', 0, balance, 0} end
-- A call that is live already is refused by nothing: its seconds are used, and its end must be
-- charged as far as the balance reaches.
local is_new = ARGV[11] ~= '1'
if is_new and redis.call('SISMEMBER', FROZ, account) == 1 then return {'frozen', 0, balance, 0} end
if is_new and tonumber(redis.call('HGET', META, 'n:' .. account) or '0') >= calls_max then
  return {'too_many_calls', 0, balance, 0}
end
local key, key_calls_max = ARGV[13], tonumber(ARGV[14])
if is_new and key_calls_max > 0
  and tonumber(redis.call('HGET', META, 'k:' .. key) or '0') >= key_calls_max then
  return {'too_many_calls', 0, balance, 0}
end
if is_new and first > balance then return {'insufficient_credit', 0, balance, 0} end

local caps, reach = {}, balance
for i, cap in ipairs(cjson.decode(ARGV[8])) do
  caps[i] = cap[1]
  reach = math.min(reach, cap[2] - tonumber(redis.call('HGET', CAPS, cap[1]) or '0'))
end
-- After the balance has been looked at alone: the caller is told which of the two is lacking.
if is_new and first > reach then return {'cap_reached', 0, balance, 0} end

-- A hold is never taken back, so a first one is at most a fair share, however many calls follow it.
-- It is at least the first increment, which the call cannot do without.
local sharers = tonumber(ARGV[12])
if is_new and sharers > 0 then want = math.min(want, math.max(first, math.floor(reach / sharers))) end
-- When a live call is reopened the balance may be below zero, after a dispute, and a cap exceeded.
local held = math.max(0, math.min(want, reach))
balance = balance - held
redis.call('HSET', BAL, account, whole(balance))
-- No second is confirmed yet. A reopened call confirms its own at its next tick.
redis.call('HSET', CALL, call, whole(held) .. ':0')
redis.call('HSET', OWN, call, ARGV[3])
redis.call('HINCRBY', META, 'n:' .. account, 1)
count_key(key, 1)
-- Names of past periods are trimmed here, a few at each opening, which keeps up with the new ones.
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
send_opening(call, account, whole(held), ARGV[7])
return {'opened', held, balance, want}
