-- Stands before every script of the spend gate. All keys of a partition share one hash tag, so each
-- script is legal in a cluster. Amounts are micros, whole and below 2^53: exact as Lua numbers.
local BAL = KEYS[1]  -- hash: account -> available micros
local CALL = KEYS[2] -- hash: open call -> 'held:seconds', both cumulative
local OWN = KEYS[3]  -- hash: open call -> '["account","node"]'
local DONE = KEYS[4] -- hash: closed call -> final micros; the tombstones
local CSEQ = KEYS[5] -- hash: account -> sequence of the last credit applied
local FROZ = KEYS[6] -- set: frozen accounts
local LED = KEYS[7]  -- stream: the outbox; every entry is state, so it may be applied twice
local META = KEYS[8] -- hash: 'ready', and 'n:' .. account -> its open calls
local AGE = KEYS[9]  -- sorted set: closed call -> when, in seconds; trims the tombstones

-- tostring() writes 14 digits; balances have 16.
local function whole(number)
  return string.format('%.0f', number)
end

local function available(account)
  return tonumber(redis.call('HGET', BAL, account) or '0')
end

local function is_ready()
  return redis.call('HGET', META, 'ready') == '1'
end

local function not_ready()
  return redis.error_reply('NOTREADY the partition must be rebuilt from the book of record')
end
