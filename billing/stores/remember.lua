-- Store what the book of record knows of calls, in case that book is replaced by an older copy. Run
-- before a partition is filled; the filling keeps it. The book's version replaces the gate's.
-- ARGV: tombstone seconds; then of each call its id, account, record of its opening or '', record of
--   its end in brief or '', charged, written off, seconds, second in which it ended
if is_ready() then return 0 end
local now = clock()
for i = 2, #ARGV, 8 do
  local call, account, opened, closed, charged, written_off, seconds, at = unpack(ARGV, i, i + 7)
  if opened ~= '' then redis.call('HSET', BEGAN, call, opened) end
  if closed ~= '' then
    -- No entry reports this end: it is booked.
    remember_end(call, account, '0-0', charged, written_off, seconds, closed)
    -- Even if the book's clock is far off, the tombstone must last its day.
    at = tonumber(at)
    if at > now or at < now - tonumber(ARGV[1]) then at = now end
    -- NX: an end that this gate has seen itself keeps the date it has.
    redis.call('ZADD', AGE, 'NX', at, call)
  end
end
return 1
