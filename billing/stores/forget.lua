-- Forget entries of outboxes that the book of record holds.
-- By id, because entries written since must stay. A stream keeps its last id even when it is empty,
-- which `billing.lineage` depends on.
-- KEYS: outboxes. ARGV: for each of them the entries' ids, separated by spaces.
for i, outbox in ipairs(KEYS) do
  for id in ARGV[i]:gmatch('%S+') do redis.call('XDEL', outbox, id) end
end
return #KEYS
