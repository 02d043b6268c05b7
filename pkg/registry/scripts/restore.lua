-- Writes a binding that was lost, unless a newer one is known.
-- KEYS: user. ARGV: device, event time, state, version, platform, credential, language, tokens, most devices.
local user = redis.call('GET', KEYS[1]) or ''
local f, l, b, k, tally, bound, _, _, version =
  string.match(find(user, ARGV[1]) or UNKNOWN, DEVICE)
if bound ~= '' then
  local ahead = tonumber(ARGV[2]) - tonumber(bound)
  if ahead < 0 or (ahead == 0 and tonumber(ARGV[4]) <= tonumber(version)) then return '0' end
end
local after = table.concat({f, l, b, k, tally, ARGV[2], '', ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]}, '\31')
store(KEYS[1], user, ARGV[1], after, tonumber(ARGV[9]))
return '1'
