-- Bring one credit (or, below zero, its reversal) of the book of record. The sequence is gapless and
-- lives beside the balance, so what a failover rolls back can be told from what it kept.
-- ARGV: account, sequence, amount, largest balance
-- Returns a result.
if not is_ready() then return not_ready() end
local account, sequence = ARGV[1], tonumber(ARGV[2])
local last = tonumber(redis.call('HGET', CSEQ, account) or '0')
if sequence <= last then return 'duplicate' end
if sequence ~= last + 1 then return 'gap' end
local balance = available(account) + tonumber(ARGV[3])
if math.abs(balance) > tonumber(ARGV[4]) then return 'out_of_range' end
redis.call('HSET', BAL, account, whole(balance))
redis.call('HSET', CSEQ, account, whole(sequence))
is_out_no_more(account)
return 'applied'
