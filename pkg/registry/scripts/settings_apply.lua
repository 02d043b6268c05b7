-- Applies or restores settings.
-- KEYS: settings and, to apply, epoch marker.
-- ARGV: event time (ms), the ten other general values (unit separator = as it is), most options, then conversation, option
--   and event time of each option.
-- Answer: E, 1, or empty where all of it is older than what is known.
if KEYS[2] and redis.call('EXISTS', KEYS[2]) == 0 then return 'E' end
local concerned, at, most = '', tonumber(ARGV[1]), tonumber(ARGV[12])

local known = {string.match(redis.call('HGET', KEYS[1], '') or NO_SETTINGS, GENERAL)}
if known[1] == '' or at >= tonumber(known[1]) then
  for i = 2, 11 do
    if ARGV[i] ~= '\31' then known[i], concerned = ARGV[i], '1' end
  end
  known[1] = ARGV[1]
  if concerned ~= '' then redis.call('HSET', KEYS[1], '', table.concat(known, '\31')) end
end

local function set_at(packed) return tonumber(string.match(packed, '\31(%d+)$')) end
for i = 13, #ARGV, 3 do
  local before = redis.call('HGET', KEYS[1], ARGV[i])
  if not before or tonumber(ARGV[i + 2]) >= set_at(before) then
    concerned = '1'
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1] .. '\31' .. ARGV[i + 2])
  end
end

if redis.call('HLEN', KEYS[1]) > most then -- it may be: the general values are a field too
  local all, options = redis.call('HGETALL', KEYS[1]), {}
  for i = 1, #all, 2 do
    if all[i] ~= '' then options[#options + 1] = {all[i], set_at(all[i + 1])} end
  end
  table.sort(options, function(a, b) return a[2] < b[2] or (a[2] == b[2] and a[1] < b[1]) end)
  for i = 1, #options - most do redis.call('HDEL', KEYS[1], options[i][1]) end
end
return concerned
