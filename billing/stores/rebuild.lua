-- Fill an empty partition from the book of record.
-- ARGV: JSON [accounts, open calls, closed calls, frozen, spent], rows as in PartitionState; id of
--   the last entry that the book has booked, or ''
-- Returns 1, or 0 if the partition was ready already, -1 if its outbox must be drained first.
-- What is known of calls that the book has is kept, for a book that may forget it (see remember.lua):
-- how they were opened, how and when they ended, their ids at the carrier.
-- Several nodes may fill at once: the first one wins, and what calls have done since stays.
if is_ready() then return 0 end
-- The book's rows lack what still waits in the outbox.
if redis.call('XLEN', LED) > 0 then return -1 end
local began, ends, owners = {}, {}, {}
for key, rows in pairs({[BEGAN] = began, [ENDS] = ends, [OWN] = owners}) do
  local flat = redis.call('HGETALL', key)
  for i = 1, #flat, 2 do rows[flat[i]] = flat[i + 1] end
end
local ages, flat = {}, redis.call('ZRANGE', AGE, 0, -1, 'WITHSCORES')
for i = 1, #flat, 2 do ages[flat[i]] = flat[i + 1] end
local function keep(key, rows, call)
  if rows[call] then redis.call('HSET', key, call, rows[call]) end
end
-- LED stays: its last id tells this gate from an older copy (billing/lineage.py).
redis.call('DEL', BAL, CALL, OWN, DONE, CSEQ, FROZ, META, AGE, CAPS, USED, ENDS, BEGAN, OUT)
local accounts, open, closed, frozen, spent = unpack(cjson.decode(ARGV[1]))
for _, row in ipairs(accounts) do
  redis.call('HSET', BAL, row[1], whole(row[2]))
  redis.call('HSET', CSEQ, row[1], whole(row[3]))
end
for _, row in ipairs(open) do
  local call, account, node, held, seconds, carrier_call, per_minute, caps, key, answered = unpack(row)
  redis.call('HSET', CALL, call, whole(held) .. ':' .. whole(seconds))
  keep(BEGAN, began, call)
  -- The book may be an older copy, to which the id was never told, and knows the answer less well.
  if owners[call] then
    local before = owner_in(owners[call])
    if carrier_call == '' then carrier_call = before.carrier_call end
    if answered == 0 then answered = before.answered end
  end
  keep_owner(call, {account = account, node = node, carrier_call = carrier_call,
    per_minute = per_minute, caps = caps, key = key, answered = answered})
  redis.call('HINCRBY', META, 'n:' .. account, 1)
  count_key(key, 1)
  if seconds > 0 then change_burn(account, per_minute) end
end
local now = clock()
for _, row in ipairs(closed) do
  redis.call('HSET', DONE, row[1], whole(row[2]))
  -- A tombstone keeps its age, so that refilling does not prolong its day.
  redis.call('ZADD', AGE, ages[row[1]] or now, row[1])
  -- An end that was remembered with another price is not the one in the book.
  local _, charged = end_in(ends[row[1]] or '')
  if charged == whole(row[2]) then
    keep(ENDS, ends, row[1])
    keep(BEGAN, began, row[1])
  end
end
for _, account in ipairs(frozen) do redis.call('SADD', FROZ, account) end
for _, row in ipairs(spent) do spend({row[1]}, row[2], now) end
-- Entries to come must be newer than those that are booked, or the next one would look like a
-- rollback. XADD with an id fails if the outbox is newer already, which is as good.
if ARGV[2] ~= '' and not redis.pcall('XADD', LED, ARGV[2], 'k', '').err then
  redis.call('XDEL', LED, ARGV[2])
end
-- Last, because it makes the partition ready. The server's time is a name no other filling has.
redis.call('HSET', META, 'ready', '1', 'filling', table.concat(redis.call('TIME'), '.'))
return 1
