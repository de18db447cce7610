-- Refuse an account's new calls and holds, or allow them again. ARGV: account, '1' or '0'
-- Live calls learn it from their next tick.
if not is_ready() then return not_ready() end
redis.call(ARGV[2] == '1' and 'SADD' or 'SREM', FROZ, ARGV[1])
return 1
