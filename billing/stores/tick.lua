-- Raise the holds of a partition's live calls to what they ask, as far as the balances reach.
-- Totals are absolute and only ever grow, so a repeated, late or reordered tick changes nothing.
-- ARGV: JSON [calls, accounts, account of each call (from 1), wants, seconds], outbox entries_max
-- Returns {{call (from 0), held or -1 for unknown, ...}, {balance of each account}}.
if not is_ready() then return not_ready() end
local batch = cjson.decode(ARGV[1])
local calls, accounts, account_of, wants, seconds = unpack(batch)

local states = redis.call('HMGET', CALL, unpack(calls))
local balances = redis.call('HMGET', BAL, unpack(accounts))
for j = 1, #accounts do balances[j] = tonumber(balances[j] or '0') end
local frozen = redis.call('EXISTS', FROZ) == 1 and redis.call('SMISMEMBER', FROZ, unpack(accounts))

local exceptions, e = {}, 0
local raised, r = {}, 0
local is_charged = {}
for i = 1, #calls do
  local state = states[i]
  if not state then
    exceptions[e + 1], exceptions[e + 2] = i - 1, -1
    e = e + 2
  else
    local colon = state:find(':', 1, true)
    local held, confirmed = tonumber(state:sub(1, colon - 1)), tonumber(state:sub(colon + 1))
    local want, j = wants[i], account_of[i]
    local total = held
    if want > held and balances[j] > 0 and not (frozen and frozen[j] == 1) then
      total = math.min(want, held + balances[j])
      balances[j] = balances[j] - (total - held)
      is_charged[j] = true
    end
    local second = math.max(seconds[i], confirmed)
    if total > held or second > confirmed then
      raised[r + 1], raised[r + 2] = calls[i], string.format('%.0f:%.0f', total, second)
      r = r + 2
    end
    if total < want then
      exceptions[e + 1], exceptions[e + 2] = i - 1, total
      e = e + 2
    end
  end
end

if r > 0 then
  redis.call('HSET', CALL, unpack(raised))
  local charged, c = {}, 0
  for j = 1, #accounts do
    if is_charged[j] then
      charged[c + 1], charged[c + 2] = accounts[j], whole(balances[j])
      c = c + 2
    end
  end
  if c > 0 then redis.call('HSET', BAL, unpack(charged)) end
  -- Later entries repeat what these say: while nobody drains the outbox, it need not grow.
  if redis.call('XLEN', LED) < tonumber(ARGV[2]) then
    redis.call('XADD', LED, '*', 'k', 'T', 'd', table.concat(raised, ' '))
  end
end
return {exceptions, balances}
