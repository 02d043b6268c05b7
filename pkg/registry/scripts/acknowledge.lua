-- Marks a notification as taken by the device's own service, whatever its mark said. Nothing where the
-- device has none: its push went another way.
-- KEYS: mark, epoch marker, user. ARGV: life (ms), device.
local found = redis.call('MGET', KEYS[2], KEYS[3])
if not found[1] then return 'E' end
local packed = find(found[2] or '', ARGV[2])
if not packed or not served(packed) then return '0' end
put_mark(KEYS[1], ARGV[1], 'a', '0', '0', '0', '', '', '')
return '1'
