-- Read an account. ARGV: account. Returns {balance, last credit sequence}.
if not is_ready() then return not_ready() end
return {available(ARGV[1]), tonumber(redis.call('HGET', CSEQ, ARGV[1]) or '0')}
