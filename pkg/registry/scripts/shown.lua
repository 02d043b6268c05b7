-- Says what was decided of a message that is taken back, and takes it out of the devices' numbers.
-- KEYS: user, claim, epoch marker, prefix of the counted messages.
-- ARGV: now, activity limit, presence lease (ms), origin, content, digest of the message key, digest of it with its content.
-- Answer: E, or N0 where the claim is not known (any more), else as decide.lua answers a repeat, with the number now.
local found = redis.call('MGET', KEYS[3], KEYS[1], KEYS[2])
if not found[1] then return 'E' end
local user = found[2] or ''

for entry in string.gmatch(found[3] or '', '[^\28]+') do
  local content, origin, _, _, other, _, decision = string.match(entry, CLAIM)
  if content == ARGV[5] and origin == ARGV[4] then
    local digest = other == '1' and ARGV[7] or ARGV[6]
    local answer, changed = {'R', other}, false
    for code, device in string.gmatch(decision, '(%l)%d*:([^\30]*)') do
      local packed, first, last = find(user, device)
      if packed then
        local less = uncount(KEYS[4] .. device, digest, packed)
        if less then
          user = string.sub(user, 1, first - 1) .. less .. string.sub(user, last + 1)
          packed, changed = less, true
        end
        local _, rest, badge = verdict(tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), packed)
        if rest then
          if badge == '0' then badge = '' end
          answer[#answer + 1] = '\30' .. code .. badge .. '\31' .. device .. '\31' .. string.sub(packed, rest)
        end
      end
    end
    if changed then redis.call('SET', KEYS[1], user) end
    return table.concat(answer)
  end
end
return 'N0'
