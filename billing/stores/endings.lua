-- List calls that have ended, oldest first.
-- ARGV: the second after which they ended, the seconds that have passed since then at least, how many
--   at most; those of the last second are listed whole
-- Returns {second of the last one, call, final, account, seconds, record of its opening, ...}; where
-- the gate cannot tell a call's end, its account is '' and its seconds are 0.
if not is_ready() then return not_ready() end
local latest = clock() - tonumber(ARGV[2])
local calls = redis.call(
  'ZRANGEBYSCORE', AGE, '(' .. ARGV[1], latest, 'WITHSCORES', 'LIMIT', 0, tonumber(ARGV[3]))
local found, f = {tonumber(ARGV[1])}, 1
if #calls == 0 then return found end
-- Pages continue after a second, so a page must not end in the middle of one.
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
