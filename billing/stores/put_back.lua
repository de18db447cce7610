-- Put a withdrawn partition back into service as it was: nothing in it has changed meanwhile.
-- Returns 1, or 0 if it is in service already, or has lost its data.
if not is_withdrawn() then return 0 end
redis.call('HSET', META, 'ready', '1')
return 1
