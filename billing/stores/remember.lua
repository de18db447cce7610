-- Note what the book of record knows of calls, for a book that forgets it: before a partition is
-- filled, which keeps it. What the book says replaces what the gate knew.
-- ARGV: tombstone seconds; then of each call its id, account, record of its opening or '', record of
--   its end in brief or '', charged, written off, seconds, second in which it ended
if is_ready() then return 0 end
local now = clock()
for i = 2, #ARGV, 8 do
  local call, account, opened, closed, charged, written_off, seconds, at = unpack(ARGV, i, i + 7)
  if opened ~= '' then redis.call('HSET', BEGAN, call, opened) end
  if closed ~= '' then
    remember_end(call, account, '0-0', charged, written_off, seconds, closed)
    -- Where the book's clock is far off, the tombstone must last its day all the same.
    at = tonumber(at)
    if at > now or at < now - tonumber(ARGV[1]) then at = now end
    redis.call('ZADD', AGE, 'NX', at, call)
  end
end
return 1
