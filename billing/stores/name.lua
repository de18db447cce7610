-- Remember an open call's name at the carrier. ARGV: call, account, carrier call
-- Returns when the partition was filled.
if not is_ready() then return not_ready() end
local filling = redis.call('HGET', META, 'filling') or ''
local row = redis.call('HGET', OWN, ARGV[1])
if not row then return filling end
local owner = owner_in(row)
if owner.account ~= ARGV[2] then return filling end
owner.carrier_call = ARGV[3]
keep_owner(ARGV[1], owner)
return filling
