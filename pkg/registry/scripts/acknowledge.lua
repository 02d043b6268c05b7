-- Marks a notification as taken by the device's own service (see admit.lua), whatever its mark said. Nothing where the
-- device has none: its push went another way.
-- KEYS: mark, epoch marker, user. ARGV: life (ms), device.
local found = redis.call('MGET', KEYS[2], KEYS[3])
if not found[1] then return 'E' end
local packed = find(found[2] or '', ARGV[2])
if not packed or not served(packed) then return '0' end
redis.call('SET', KEYS[1], table.concat({'a', '0', '0', '0', '', ''}, '\31'), 'PX', ARGV[1])
return '1'
