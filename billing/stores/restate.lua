-- Replace what is remembered of closed calls by what the book has of them now. Calls that are not
-- remembered stay forgotten. The partition need not be in service.
-- ARGV: of each call its id, account, record of its opening, record of its end in brief
for i = 1, #ARGV, 4 do
  local call, account, opened, closed = unpack(ARGV, i, i + 3)
  if redis.call('HEXISTS', CALL, call) == 0 and redis.call('HEXISTS', BEGAN, call) == 1 then
    redis.call('HSET', BEGAN, call, opened)
  end
  local row = redis.call('HGET', ENDS, call)
  if row then
    local entry, charged, written_off, seconds = end_in(row)
    remember_end(call, account, entry, charged, written_off, seconds, closed)
  end
end
return 1
