-- Sets the epoch marker where the nonce of the rebuild still stands, so nothing was lost since it was written.
-- KEYS: marker, nonce. ARGV: nonce, marker.
-- Answer: 1, or 0 where the nonce is gone or another's.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return '0' end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('DEL', KEYS[2])
return '1'
