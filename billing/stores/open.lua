-- Place a call's first hold.
-- ARGV: call, account, owner (as in OWN), first, want, most open calls, record
-- Returns {result, held, balance}.
if not is_ready() then return not_ready() end
local call, account = ARGV[1], ARGV[2]
local first, want, calls_max = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local balance = available(account)

local open = redis.call('HGET', CALL, call)
if open then return {'opened', tonumber(open:match('^%d+')), balance} end
if redis.call('HEXISTS', DONE, call) == 1 then return {'already_closed', 0, balance} end
if redis.call('SISMEMBER', FROZ, account) == 1 then return {'frozen', 0, balance} end
if tonumber(redis.call('HGET', META, 'n:' .. account) or '0') >= calls_max then
  return {'too_many_calls', 0, balance}
end
if first > balance then return {'insufficient_credit', 0, balance} end

local held = math.min(want, balance)
balance = balance - held
redis.call('HSET', BAL, account, whole(balance))
redis.call('HSET', CALL, call, whole(held) .. ':0')
redis.call('HSET', OWN, call, ARGV[3])
redis.call('HINCRBY', META, 'n:' .. account, 1)
redis.call('XADD', LED, '*', 'k', 'O', 'c', call, 'a', account, 's', whole(held), 'm', ARGV[7])
return {'opened', held, balance}
