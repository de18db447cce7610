-- Apply one credit of the book of record; one below zero takes credit away. Sequences have no gaps
-- and are kept beside the balance: what a failover rolls back, it rolls back of both.
-- ARGV: account, sequence, amount, largest balance
-- Returns a result.
if not is_ready() then return not_ready() end
local account, sequence = ARGV[1], tonumber(ARGV[2])
local last = tonumber(redis.call('HGET', CSEQ, account) or '0')
-- Applied before: any node may bring a credit, and any of them may repeat it.
if sequence <= last then return 'duplicate' end
if sequence ~= last + 1 then return 'gap' end
local balance = available(account) + tonumber(ARGV[3])
if math.abs(balance) > tonumber(ARGV[4]) then return 'out_of_range' end
-- May fall below zero: money that a bank takes back is gone, whether it was spent or not.
redis.call('HSET', BAL, account, whole(balance))
redis.call('HSET', CSEQ, account, whole(sequence))
-- A refund or a dispute brings nothing back: calls that end together go on ending.
if tonumber(ARGV[3]) > 0 then credit_is_back(account) end
return 'applied'
