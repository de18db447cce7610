-- Take a partition out of service until it is filled again: from then on everything is refused except
-- telling what it holds, reading and trimming the outbox. It keeps all its data, and its filling's name,
-- which says so. ARGV: the filling that it must live on, or '' for any
-- Returns 1, or 0 if it lives on another filling, which somebody has made meanwhile.
if ARGV[1] ~= '' and redis.call('HGET', META, 'filling') ~= ARGV[1] then return 0 end
redis.call('HDEL', META, 'ready')
return 1
