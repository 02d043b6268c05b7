-- Writes the offset that the daily quiet window's zone has now.
-- KEYS: settings. ARGV: zone, offset from UTC (s; empty = the zone is not known), until when it holds (ms).
-- Answer: 1, or 0 where the window's zone is another by now or a later offset is known.
local general = redis.call('HGET', KEYS[1], '')
if not general then return '0' end
local head, zone, _, valid, tail =
  string.match(general, '^(%d*\31[01]?\31[^\31]*\31[^\31]*\31%d*\31%d*\31)([^\31]*)\31(-?%d*)\31(%d*)(\31%d*\31%d*)$')
if zone ~= ARGV[1] or zone == '' or tonumber(ARGV[3]) <= tonumber(valid) then return '0' end
redis.call('HSET', KEYS[1], '', head .. table.concat({zone, ARGV[2], ARGV[3]}, '\31') .. tail)
return '1'
