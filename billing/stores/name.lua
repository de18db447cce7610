-- Remember an open call's name at the carrier. ARGV: call, account, carrier call
-- Returns when the partition was filled; false for a call that it does not hold open.
if not is_ready() then return not_ready() end
local row = redis.call('HGET', OWN, ARGV[1])
if not row then return false end
local owner = owner_in(row)
if owner.account ~= ARGV[2] then return false end
if owner.carrier_call ~= ARGV[3] then
  owner.carrier_call = ARGV[3]
  keep_owner(ARGV[1], owner)
  tell_name(ARGV[1], redis.call('HGET', CALL, ARGV[1]), ARGV[3])
end
return redis.call('HGET', META, 'filling') or ''
