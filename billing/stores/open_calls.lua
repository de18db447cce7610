-- List the open calls of a node, or of all. ARGV: JSON [node], or JSON [] for all
-- Returns {call, its row in OWN, its row in CALL, ...}.
if not is_ready() then return not_ready() end
local node = cjson.decode(ARGV[1])[1]
local found, f = {}, 0
local owners = redis.call('HGETALL', OWN)
for i = 1, #owners, 2 do
  if not node or owner_in(owners[i + 1]).node == node then
    found[f + 1], found[f + 2] = owners[i], owners[i + 1]
    found[f + 3] = redis.call('HGET', CALL, owners[i])
    f = f + 3
  end
end
return found
