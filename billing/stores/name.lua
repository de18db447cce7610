-- Store an open call's id at the carrier. ARGV: call, account, id
-- Returns the name of the partition's filling; false if it does not hold the call open.
if not is_ready() then return not_ready() end
local row = redis.call('HGET', OWN, ARGV[1])
if not row then return false end
local owner = owner_in(row)
if owner.account ~= ARGV[2] then return false end
-- The same id is told again to each new filling; only a new one is worth an entry.
if owner.carrier_call ~= ARGV[3] then
  owner.carrier_call = ARGV[3]
  keep_owner(ARGV[1], owner)
  tell_name(ARGV[1], redis.call('HGET', CALL, ARGV[1]), ARGV[3])
end
return redis.call('HGET', META, 'filling') or ''
