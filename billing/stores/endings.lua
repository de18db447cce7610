-- List calls that have ended, oldest first, also of a partition that is not in service.
-- ARGV: the second after which they ended, the seconds that have passed since then at least, how many
--   at most; those of the last second are listed whole
-- Returns {second of the last one, call, final, account, seconds, record of its opening, ...}; where
-- the gate cannot tell a call's end, its account is '' and its seconds are 0.
local latest = clock() - tonumber(ARGV[2])
local calls = redis.call(
  'ZRANGEBYSCORE', AGE, '(' .. ARGV[1], latest, 'WITHSCORES', 'LIMIT', 0, tonumber(ARGV[3]))
local found, f = {tonumber(ARGV[1])}, 1
if #calls == 0 then return found end
-- Pages continue after a second, so a page must not end in the middle of one.
local last = calls[#calls]
found[1] = tonumber(last)
local function add(call)
  local account, seconds, row = '', '0', redis.call('HGET', ENDS, call)
  local charged, _ = '0'
  if row then _, charged, _, seconds, _, account = end_in(row) end
  -- A filling that died has noted ends of which there are no tombstones (see remember.lua).
  found[f + 1], found[f + 2] = call, tonumber(redis.call('HGET', DONE, call) or charged)
  found[f + 3], found[f + 4] = account, tonumber(seconds)
  found[f + 5] = redis.call('HGET', BEGAN, call) or ''
  f = f + 5
end
for i = 1, #calls, 2 do
  if calls[i + 1] ~= last then add(calls[i]) end
end
for _, call in ipairs(redis.call('ZRANGEBYSCORE', AGE, last, last)) do add(call) end
return found
