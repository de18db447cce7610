-- Remember an open call's name at the carrier. ARGV: call, account, carrier call
if not is_ready() then return not_ready() end
local row = redis.call('HGET', OWN, ARGV[1])
if not row then return 0 end
local owner = owner_in(row)
if owner.account ~= ARGV[2] then return 0 end
owner.carrier_call = ARGV[3]
keep_owner(ARGV[1], owner)
return 1
