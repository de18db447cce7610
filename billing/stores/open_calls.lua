-- List a node's open calls. ARGV: node. Returns {call, account, held, seconds, ...}.
if not is_ready() then return not_ready() end
local found, f = {}, 0
local owners = redis.call('HGETALL', OWN)
for i = 1, #owners, 2 do
  local owner = cjson.decode(owners[i + 1])
  if owner[2] == ARGV[1] then
    local state = redis.call('HGET', CALL, owners[i])
    local held, seconds = state:match('^(%d+):(%d+)$')
    found[f + 1], found[f + 2] = owners[i], owner[1]
    found[f + 3], found[f + 4] = tonumber(held), tonumber(seconds)
    f = f + 4
  end
end
return found
