
-- Writes a binding that was lost, unless a newer one is known.
-- KEYS: user. ARGV: device, event time, state, version, platform, credential, language, token, most devices.
local packed = redis.call('HGET', KEYS[1], ARGV[1])
local f, l, b, k, badge, bound, _, _, version =
  string.match(packed or '\31\31\31\31\31\31\31\31\31\31\31\31', DEVICE)
if bound ~= '' then
  local ahead = tonumber(ARGV[2]) - tonumber(bound)
  if ahead < 0 or (ahead == 0 and tonumber(ARGV[4]) <= tonumber(version)) then return '0' end
end
if not packed then make_room(KEYS[1], tonumber(ARGV[9])) end
redis.call('HSET', KEYS[1], ARGV[1], table.concat({f, l, b, k, badge, ARGV[2], ARGV[2], ARGV[3], ARGV[4], ARGV[5],
  ARGV[6], ARGV[7], ARGV[8]}, '\31'))
return '1'
