-- Forget entries of outboxes that the book of record holds.
-- KEYS: outboxes. ARGV: for each of them the entries' ids, separated by spaces.
for i, outbox in ipairs(KEYS) do
  for id in ARGV[i]:gmatch('%S+') do redis.call('XDEL', outbox, id) end
end
return #KEYS
