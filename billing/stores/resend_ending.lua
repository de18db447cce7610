-- Put a call's end into the outbox again, for a book that lacks it, unless it still waits there.
-- The partition need not be in service.
-- ARGV: call, account, record of its opening to be told as well, or ''
-- Returns 1, or 0 if the end waits already or is not known.
local call, account = ARGV[1], ARGV[2]
local row = redis.call('HGET', ENDS, call)
if not row then return 0 end
local entry, charged, written_off, seconds, record = end_in(row)
if #redis.call('XRANGE', LED, entry, entry) > 0 then return 0 end
if ARGV[3] ~= '' then
  -- A hold of nothing: the end that follows says what was charged.
  send_opening(call, account, '0', ARGV[3])
end
entry = tell_end(call, account, charged, seconds, written_off, record)
remember_end(call, account, entry, charged, written_off, seconds, record)
return 1
