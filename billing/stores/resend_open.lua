-- Put into the outbox again what the partition's open calls hold and owe, how they were opened and
-- their ids at the carrier, for a book that may lack it. The partition need not be in service.
-- Returns how many calls there are.
local states, told = redis.call('HGETALL', CALL), {}
for i = 1, #states, 2 do
  local call, state = states[i], states[i + 1]
  local row, record = redis.call('HGET', OWN, call), redis.call('HGET', BEGAN, call)
  if row then
    local owner = owner_in(row)
    if record then send_opening(call, owner.account, state:match('^%d+'), record) end
    if owner.carrier_call ~= '' then tell_name(call, state, owner.carrier_call) end
  end
  told[#told + 1] = call .. ' ' .. state
end
-- Entries as large as those of ticks: the drainer counts entries, not calls.
for first = 1, #told, 1000 do
  local part = table.concat(told, ' ', first, math.min(first + 999, #told))
  tell('k', 'T', 'd', part)
end
return #told
