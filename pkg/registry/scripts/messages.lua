-- What is known of one message key, as one string: the recalled contents, each with a comma behind it, then, each behind
-- a record separator, the contents that were routed under the key: checksum and, behind unit separators, the origins of
-- its records. The first content is the one that has the plain key; among the recalled ones it is '-' where its checksum
-- is not known. Beyond these bounds the oldest go.
local MOST_CONTENTS, MOST_RECALLED = 16, 16
local MOST_ORIGINS = 16384 -- bytes of one content's: more than 500 records, as many as a batch has recipients

local function read(value)
  local recalled, rest = string.match(value or '', '^([^\30]*)(.*)$')
  local contents = {}
  for sum, origins in string.gmatch(rest, '\30([^\31\30]*)([^\30]*)') do
    contents[#contents + 1] = {sum = sum, origins = origins}
  end
  return recalled, contents
end

local function write(recalled, contents)
  local parts = {recalled}
  for _, content in ipairs(contents) do parts[#parts + 1] = '\30' .. content.sum .. content.origins end
  return table.concat(parts)
end

local function holds(recalled, code) return string.find(',' .. recalled, ',' .. code .. ',', 1, true) ~= nil end

-- Whether a content that was routed is recalled, by its checksum or as the one with the plain key.
local function taken_back(recalled, contents, content)
  return (content == contents[1] and holds(recalled, '-')) or (content.sum ~= '' and holds(recalled, content.sum))
end
