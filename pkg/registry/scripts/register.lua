
-- Notes where a message stands in the log, and says whether it is recalled.
-- KEYS: message, epoch marker. ARGV: content's checksum, origin, life (ms).
-- Answer: E | 1 recalled | 0 not.
if redis.call('EXISTS', KEYS[2]) == 0 then return 'E' end
local recalled, contents = read(redis.call('GET', KEYS[1]))

local content
for _, known in ipairs(contents) do
  if known.sum == ARGV[1] then content = known end
end
local changed = false
if not content then
  while #contents >= MOST_CONTENTS do table.remove(contents, 2) end
  content = {sum = ARGV[1], origins = ''}
  contents[#contents + 1] = content
  changed = true
end
if not string.find(content.origins .. '\31', '\31' .. ARGV[2] .. '\31', 1, true) then
  content.origins = content.origins .. '\31' .. ARGV[2]
  while #content.origins > MOST_ORIGINS do content.origins = string.gsub(content.origins, '^\31[^\31]*', '') end
  changed = true
end

local back = taken_back(recalled, contents, content)
-- The admission of a push reads the recalled contents alone: there the plain key's content has to stand as '-'.
if back and content == contents[1] and not holds(recalled, '-') then
  recalled, changed = recalled .. '-,', true
end
if changed then
  if recalled == '' then
    redis.call('SET', KEYS[1], write(recalled, contents), 'PX', ARGV[3])
  else
    redis.call('SET', KEYS[1], write(recalled, contents), 'KEEPTTL')
  end
end
return back and '1' or '0'
