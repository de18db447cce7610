-- Stands before every script of the spend gate. All keys of a partition share one hash tag, so each
-- script is legal in a cluster. Amounts are micros, whole and below 2^53: exact as Lua numbers.
local BAL = KEYS[1]   -- hash: account -> available micros
local CALL = KEYS[2]  -- hash: open call -> 'held:seconds', both cumulative
local OWN = KEYS[3]   -- hash: open call -> '["account","node","carrier call",per minute,["cap",...],
  -- "API key, or nothing"]', and once a second is confirmed when the phone was answered, in ms
local DONE = KEYS[4]  -- hash: closed call -> final micros; the tombstones
local CSEQ = KEYS[5]  -- hash: account -> sequence of the last credit applied
local FROZ = KEYS[6]  -- set: frozen accounts
local LED = KEYS[7]   -- stream: the outbox; every entry is state, so it may be applied twice
local META = KEYS[8]  -- hash: 'ready', 'filling'; per account 'n:' how many open calls it has, 'b:'
  -- what they burn a minute, 'e:' there if one of them has ended for want of credit; per API key 'k:'
  -- how many open calls it pays for
local AGE = KEYS[9]   -- sorted set: closed call -> when, in seconds; trims the tombstones
local CAPS = KEYS[10] -- hash: spend cap -> micros its calls hold or have cost
local USED = KEYS[11] -- sorted set: spend cap -> last opening or closing, in seconds; trims CAPS
local ENDS = KEYS[12] -- hash: closed call -> 'its outbox entry, final, written off, seconds, record\naccount'
local BEGAN = KEYS[13] -- hash: call, open or closed -> record of its opening
local OUT = KEYS[14]  -- set: accounts whose credit did not reach for all that their calls asked for

-- tostring() and cjson write 14 digits; balances have up to 16.
local function whole(number)
  return string.format('%.0f', number)
end

local function available(account)
  return tonumber(redis.call('HGET', BAL, account) or '0')
end

-- Decode a row of OWN. Rows of the first version have only two fields, others lack the key.
local function owner_in(row)
  local fields = cjson.decode(row)
  return {account = fields[1], node = fields[2], carrier_call = fields[3] or '',
    per_minute = fields[4] or 0, caps = fields[5] or {}, key = fields[6] or '',
    answered = fields[7] or 0}
end

local function keep_owner(call, owner)
  local caps = #owner.caps > 0 and cjson.encode(owner.caps) or '[]'
  local answered = owner.answered > 0 and ',' .. whole(owner.answered) or ''
  redis.call('HSET', OWN, call, string.format('[%s,%s,%s,%s,%s,%s%s]', cjson.encode(owner.account),
    cjson.encode(owner.node), cjson.encode(owner.carrier_call), whole(owner.per_minute), caps,
    cjson.encode(owner.key), answered))
end

-- Count one open call of an API key more, or less; a counter of nothing is not kept.
local function count_key(key, calls)
  if key ~= '' and redis.call('HINCRBY', META, 'k:' .. key, calls) <= 0 then
    redis.call('HDEL', META, 'k:' .. key)
  end
end

-- Change what an account's answered calls burn a minute. A counter of nothing is not kept, or META
-- would grow with every account that ever made a call.
local function change_burn(account, micros)
  if micros ~= 0 and redis.call('HINCRBY', META, 'b:' .. account, whole(micros)) <= 0 then
    redis.call('HDEL', META, 'b:' .. account)
  end
end

-- Add to what has been spent of each cap, or take away; a counter of nothing is not kept.
local function spend(caps, micros, now)
  for _, name in ipairs(caps) do
    local spent = tonumber(redis.call('HGET', CAPS, name) or '0') + micros
    if spent > 0 then
      redis.call('HSET', CAPS, name, whole(spent))
      redis.call('ZADD', USED, now, name)
    else
      redis.call('HDEL', CAPS, name)
      redis.call('ZREM', USED, name)
    end
  end
end

-- Return the id of the last entry that was written, booked and deleted or not.
local function last_id()
  -- pcall: XINFO fails on a stream that does not exist. Its error has no numbered fields, so the loop
  -- below is not entered.
  local stream = redis.pcall('XINFO', 'STREAM', LED)
  for i = 1, #stream, 2 do
    if stream[i] == 'last-generated-id' then return stream[i + 1] end
  end
  return '0-0' -- there is no stream
end

-- Write an entry. It names the one before it ('p'), by which the book recognises a gate that was
-- rolled back (billing/lineage.py).
local function tell(...)
  return redis.call('XADD', LED, '*', 'p', last_id(), ...)
end

local function tell_end(call, account, charged, seconds, written_off, record)
  return tell('k', 'C', 'c', call, 'a', account, 's', charged, 'd', seconds, 'w', written_off,
    'm', record)
end

-- Keep what the book would need if the entry that reports the end were lost. A record is JSON, in
-- which a line break is escaped, so the line after it can hold any account id.
local function remember_end(call, account, entry, charged, written_off, seconds, record)
  local end_of = table.concat({entry, charged, written_off, seconds, record}, ' ')
  redis.call('HSET', ENDS, call, end_of .. '\n' .. account)
end

-- Return entry, final, written off, seconds, record and account of a row of ENDS. Rows of the first
-- version have no account.
local function end_in(row)
  return row:match('^(%S+) (%d+) (%d+) (%d+) ([^\n]*)\n?(.*)$')
end

local function send_opening(call, account, held, record)
  tell('k', 'O', 'c', call, 'a', account, 's', held, 'm', record)
end

-- Tell the book an open call's id at the carrier, so that a filling brings it back.
local function tell_name(call, state, carrier_call)
  tell('k', 'T', 'd', call .. ' ' .. state, 'n', carrier_call)
end

-- Note that there may be credit again for calls that asked in vain, and that none has to end.
local function credit_is_back(account)
  redis.call('SREM', OUT, account)
  redis.call('HDEL', META, 'e:' .. account)
end

-- The server's clock: nodes' clocks may differ, and what they write is compared here.
local function clock()
  return tonumber(redis.call('TIME')[1])
end

-- Whether the partition has been filled. Every script that would act on missing rows asks first: an
-- empty gate must refuse, not answer that there is no credit and no call.
local function is_ready()
  return redis.call('HGET', META, 'ready') == '1'
end

-- Whether the partition has all its data, and waits to be filled again (see withdraw.lua). One that has
-- lost its data has no filling.
local function is_withdrawn()
  return not is_ready() and redis.call('HEXISTS', META, 'filling') == 1
end

local function not_ready()
  return redis.error_reply('NOTREADY the partition must be rebuilt from the book of record')
end
