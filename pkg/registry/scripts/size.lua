
-- Reads how large a group is, changes nothing.
-- KEYS: group, epoch marker. ARGV: now, how long who left is remembered (ms).
-- Answer: E | members, buckets | nothing, where nobody was ever there.
if redis.call('EXISTS', KEYS[2]) == 0 then return 'E' end
local packed = redis.call('GET', KEYS[1])
if not packed then return '' end
local buckets, present, gone, gone_before = group(packed, math.floor(tonumber(ARGV[1]) / tonumber(ARGV[2])))
return number(present + gone + gone_before) .. ',' .. number(buckets)
