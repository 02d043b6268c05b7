-- Takes a message out of the number of one device.
-- KEYS: user, device's counted messages. ARGV: device, message's digest.
-- Answer: 1, or 0 where the number does not count it.
local user = redis.call('GET', KEYS[1]) or ''
local packed = find(user, ARGV[1])
local less = packed and uncount(KEYS[2], ARGV[2], packed)
if not less then return '0' end
store(KEYS[1], user, ARGV[1], less, math.huge)
return '1'
