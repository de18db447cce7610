-- Read an account. ARGV: account, '1' to be answered by a withdrawn partition too
-- Returns {balance, last credit sequence}.
if not is_ready() and not (ARGV[2] == '1' and is_withdrawn()) then return not_ready() end
return {available(ARGV[1]), tonumber(redis.call('HGET', CSEQ, ARGV[1]) or '0')}
