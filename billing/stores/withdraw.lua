-- Take a partition out of service, to be filled anew: from then on everything is refused, but for the
-- outbox. ARGV: the filling that it must live on, or '' for whichever
-- Returns 1, 0 where it lives on another.
if ARGV[1] ~= '' and redis.call('HGET', META, 'filling') ~= ARGV[1] then return 0 end
redis.call('HDEL', META, 'ready')
return 1
