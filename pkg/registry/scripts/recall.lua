
-- Takes a message back.
-- KEYS: message, epoch marker. ARGV: content's checksum (empty = the content with the plain key), life (ms).
-- Answer: E | R and, each behind a unit separator, the origins of the content's records.
if redis.call('EXISTS', KEYS[2]) == 0 then return 'E' end
local recalled, contents = read(redis.call('GET', KEYS[1]))

local content = contents[1]
if ARGV[1] ~= '' then
  content = nil
  for _, known in ipairs(contents) do
    if known.sum == ARGV[1] then content = known end
  end
end
local code = ARGV[1]
if code == '' or (content and content == contents[1]) then code = '-' end
if not holds(recalled, code) then
  local _, count = string.gsub(recalled, ',', '')
  if count >= MOST_RECALLED then recalled = string.gsub(recalled, '^[^,]*,', '') end
  recalled = recalled .. code .. ','
end
redis.call('SET', KEYS[1], write(recalled, contents), 'PX', ARGV[2])
return 'R' .. (content and content.origins or '')
