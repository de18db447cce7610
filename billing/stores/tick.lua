-- Raise the holds of a partition's live calls to what they claim, as far as balances and spend caps
-- allow. Claims are totals and only ever grow, so a repeated, late or reordered tick changes nothing.
-- Reads and writes whole columns at once: one command per key instead of one per call.
-- ARGV: JSON [calls, accounts, account of each call (from 1), wants, seconds], and if any call has
--   caps [..., cap names, cap limits, caps of each call (from 1)]; outbox entries_max; '' or JSON
--   {call: when it was answered, in ms, ...} of calls of which no second is known to be confirmed
-- Returns {{call (from 0), held or -1 for lost or -2 for closed, ...}, {balance of each account},
--   {burn of each account}, {spent of each cap}, {short call (from 0) that a cap keeps short, ...},
--   {frozen account (from 0), ...}, when the partition was filled, {open calls of each account},
--   {account (from 0) of which a call has ended for want of credit, ...}}.
if not is_ready() then return not_ready() end
local batch = cjson.decode(ARGV[1])
local calls, accounts, account_of, wants, seconds, cap_names, cap_limits, caps_of = unpack(batch)

-- The caller bounds the number of calls (CALLS_PER_SCRIPT_MAX), because Lua's stack bounds unpack.
local states = redis.call('HMGET', CALL, unpack(calls))
local balances = redis.call('HMGET', BAL, unpack(accounts))
for j = 1, #accounts do balances[j] = tonumber(balances[j] or '0') end
-- Few accounts are ever frozen or out of credit: for most partitions one EXISTS settles it.
local frozen = redis.call('EXISTS', FROZ) == 1 and redis.call('SMISMEMBER', FROZ, unpack(accounts))
local out = redis.call('EXISTS', OUT) == 1 and redis.call('SMISMEMBER', OUT, unpack(accounts)) or {}
local spent = {} -- by name, because two calls may know one cap by different limits
local is_fresh = {} -- a period that began since the call was opened
if cap_names then
  local counted = redis.call('HMGET', CAPS, unpack(cap_names))
  for k = 1, #cap_names do
    spent[cap_names[k]] = tonumber(counted[k] or '0')
    is_fresh[cap_names[k]] = not counted[k]
  end
end

local answers = ARGV[3] ~= '' and cjson.decode(ARGV[3]) or {}
local exceptions, e = {}, 0
local raised, r = {}, 0
local capped, followed = {}, {}
local is_charged, is_spent = {}, {}
for i = 1, #calls do
  local state = states[i]
  if not state then
    -- The tombstone tells a call that was settled from one that this gate has lost.
    local is_closed = redis.call('HEXISTS', DONE, calls[i]) == 1
    exceptions[e + 1], exceptions[e + 2] = i - 1, is_closed and -2 or -1
    e = e + 2
  else
    local colon = state:find(':', 1, true)
    local held, confirmed = tonumber(state:sub(1, colon - 1)), tonumber(state:sub(colon + 1))
    local want, j = wants[i], account_of[i]
    local caps = caps_of and caps_of[i]
    local total, is_capped = held, false
    -- While an account is out, what one call leaves must not carry another on: all of them end
    -- together.
    if want > held and balances[j] > 0 and out[j] ~= 1 and not (frozen and frozen[j] == 1) then
      local reach = balances[j]
      if caps then
        for _, k in ipairs(caps) do reach = math.min(reach, cap_limits[k] - spent[cap_names[k]]) end
        -- Short because of a cap, not of the balance: the call ends for another reason then.
        is_capped = reach < balances[j] and held + reach < want
        if is_capped then capped[#capped + 1] = i - 1 end
      end
      if reach > 0 then
        total = math.min(want, held + reach)
        balances[j] = balances[j] - (total - held)
        is_charged[j] = true
        if caps then
          for _, k in ipairs(caps) do
            local name = cap_names[k]
            spent[name], is_spent[name] = spent[name] + total - held, true
          end
        end
      end
    end
    -- A late tick would bring back the caps of an earlier period.
    if caps and caps[1] and seconds[i] >= confirmed then followed[#followed + 1] = i end
    -- The confirmed second is what a dead node's call is settled at, so it never goes back.
    local second = math.max(seconds[i], confirmed)
    if total > held or second > confirmed then
      raised[r + 1], raised[r + 2] = calls[i], string.format('%.0f:%.0f', total, second)
      r = r + 2
    end
    -- Heard for the first time: from now on the call burns credit.
    if confirmed == 0 and second > 0 then
      local owner = owner_in(redis.call('HGET', OWN, calls[i]))
      change_burn(accounts[j], owner.per_minute)
      -- For whoever may have to settle it.
      if answers[calls[i]] then
        owner.answered = answers[calls[i]]
        keep_owner(calls[i], owner)
      end
    end
    if total < want then
      exceptions[e + 1], exceptions[e + 2] = i - 1, total
      e = e + 2
      -- Remembered beyond this tick, until credit comes or a call ends otherwise
      -- (`credit_is_back`).
      if not is_capped and out[j] ~= 1 and not (frozen and frozen[j] == 1) then
        redis.call('SADD', OUT, accounts[j])
        out[j] = 1
      end
    end
  end
end

-- Count a call under the caps of the period that has begun: what it owes or gets back from now on,
-- at its end too, belongs to the latest period.
local function follow_caps(i)
  local owner = owner_in(redis.call('HGET', OWN, calls[i]))
  -- Written only where something differs, which is once a period.
  local is_new = #owner.caps ~= #caps_of[i]
  local names = {}
  for n, k in ipairs(caps_of[i]) do
    names[n] = cap_names[k]
    is_new = is_new or owner.caps[n] ~= names[n]
  end
  if is_new then
    owner.caps = names
    keep_owner(calls[i], owner)
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
  -- Later entries repeat what these say, so while nobody drains the outbox it need not grow.
  if redis.call('XLEN', LED) < tonumber(ARGV[2]) then
    tell('k', 'T', 'd', table.concat(raised, ' '))
  end
end

local totals = {}
if cap_names then
  for _, i in ipairs(followed) do follow_caps(i) end
  local counters, c = {}, 0
  for k, name in ipairs(cap_names) do
    totals[k] = spent[name]
    if is_spent[name] then
      counters[c + 1], counters[c + 2] = name, whole(spent[name])
      c = c + 2
      is_spent[name] = nil
      -- Otherwise the opening that began the counter has dated it.
      if is_fresh[name] then redis.call('ZADD', USED, clock(), name) end
    end
  end
  if c > 0 then redis.call('HSET', CAPS, unpack(counters)) end
end

local fields, burns, counts, ending = {}, {}, {}, {}
for j = 1, #accounts do
  fields[3 * j - 2], fields[3 * j - 1] = 'b:' .. accounts[j], 'n:' .. accounts[j]
  fields[3 * j] = 'e:' .. accounts[j]
end
-- All of META in one command; a field that is not there is false.
fields[3 * #accounts + 1] = 'filling'
local meta = redis.call('HMGET', META, unpack(fields))
local filling = table.remove(meta) or ''
for j = 1, #accounts do
  burns[j], counts[j] = tonumber(meta[3 * j - 2] or '0'), tonumber(meta[3 * j - 1] or '0')
  if meta[3 * j] then ending[#ending + 1] = j - 1 end
end
local frozen_accounts = {}
if frozen then
  for j = 1, #accounts do
    if frozen[j] == 1 then frozen_accounts[#frozen_accounts + 1] = j - 1 end
  end
end
return {exceptions, balances, burns, totals, capped, frozen_accounts, filling, counts, ending}
