-- List calls that have ended, the oldest first, from one second on.
-- ARGV: ended after this second, and so many seconds ago at least, how many at most but for those of
--   one second
-- Returns {second of the last one, call, final, account, seconds, record of its opening, ...}; where
-- the gate cannot tell a call's end, its account is '' and its seconds are 0.
if not is_ready() then return not_ready() end
local latest = clock() - tonumber(ARGV[2])
local calls = redis.call(
  'ZRANGEBYSCORE', AGE, '(' .. ARGV[1], latest, 'WITHSCORES', 'LIMIT', 0, tonumber(ARGV[3]))
local found, f = {tonumber(ARGV[1])}, 1
if #calls == 0 then return found end
local last = calls[#calls]
found[1] = tonumber(last)
local function add(call)
  local account, seconds, row, _ = '', '0', redis.call('HGET', ENDS, call)
  if row then _, _, _, seconds, _, account = end_in(row) end
  found[f + 1], found[f + 2] = call, tonumber(redis.call('HGET', DONE, call) or '0')
  found[f + 3], found[f + 4] = account, tonumber(seconds)
  found[f + 5] = redis.call('HGET', BEGAN, call) or ''
  f = f + 5
end
for i = 1, #calls, 2 do
  if calls[i + 1] ~= last then add(calls[i]) end
end
for _, call in ipairs(redis.call('ZRANGEBYSCORE', AGE, last, last)) do add(call) end
return found
