-- Marks a notification as taken by the device's own service (see admit.lua), whatever its mark said.
-- KEYS: mark, epoch marker. ARGV: life (ms).
if redis.call('EXISTS', KEYS[2]) == 0 then return 'E' end
redis.call('SET', KEYS[1], table.concat({'a', '0', '0', '0', '', ''}, '\31'), 'PX', ARGV[1])
return '1'
