-- Reads one bucket of a group, changes nothing.
-- KEYS: group, bucket, epoch marker.
-- Answer: E | buckets of the group, a unit separator, and with unit separators between them the bucket's fields and values.
if redis.call('EXISTS', KEYS[3]) == 0 then return 'E' end
local buckets = string.match(redis.call('GET', KEYS[1]) or '1,', '^%d+')
return buckets .. '\31' .. table.concat(redis.call('HGETALL', KEYS[2]), '\31')
