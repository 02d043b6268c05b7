
-- Claims a message for a user and decides every device.
-- KEYS: user, claim, epoch marker.
-- ARGV: now, activity limit, lease, claim's life, origin, content, MsgTime, window, record time (ms), counts (1|0).
-- Answer: E, or N|R|D and 1 where other content was seen, then per device: reason code and badge, id, binding.
-- The claim is a list of entries, one a content: content, origin, record time, MsgTime, other (0|1), decision.
local MOST_CONTENTS = 16 -- under one claim, so that nobody can grow it without end

if redis.call('EXISTS', KEYS[3]) == 0 then return 'E' end
local now, activity, lease = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local origin, content, msgtime, at = ARGV[5], ARGV[6], ARGV[7], tonumber(ARGV[9])

local user = redis.call('GET', KEYS[1]) or ''
local other, kept = '0', {}
for entry in string.gmatch(redis.call('GET', KEYS[2]) or '', '[^\28]+') do
  local c, o, r, m, x, decision = string.match(entry, '^([^\31]*)\31([^\31]*)\31([^\31]*)\31([^\31]*)\31([01])\31(.*)$')
  if c == content then
    if o == origin then
      local answer = {'R', x}
      for code, badge, device in string.gmatch(decision, '(%l)(%d*):([^\30]*)') do
        local packed = find(user, device)
        if packed then
          local _, rest = verdict(now, activity, lease, packed)
          if rest then
            answer[#answer + 1] = '\30' .. code .. badge .. '\31' .. device .. '\31' .. string.sub(packed, rest)
          end
        end
      end
      return table.concat(answer)
    end
    if math.abs(at - tonumber(r)) <= tonumber(ARGV[8]) then return 'D' .. x end
    if m == msgtime then other = x end -- its message key stays the one that it had
    kept.own = m == msgtime
  else
    kept[#kept + 1] = entry
    if m == msgtime then kept.other = true end
  end
end
if kept.other and not kept.own then other = '1' end

local answer, decided, after, counted = {'N', other}, {}, {}, false
for device, packed in string.gmatch(user, '\30([^\31]*)\31([^\30]*)') do
  local code, rest, badge, first, behind = verdict(now, activity, lease, packed)
  local changed = packed
  if code then
    local shown = ''
    if code == 'b' or code == 'k' then
      local number = tonumber(badge) or 0
      if ARGV[10] == '1' then
        number, counted = number + 1, true
        changed = string.sub(packed, 1, first - 1) .. string.format('%d', number) .. string.sub(packed, behind)
      end
      if number > 0 then shown = string.format('%d', number) end
    end
    decided[#decided + 1] = code .. shown .. ':' .. device
    answer[#answer + 1] = '\30' .. code .. shown .. '\31' .. device .. '\31' .. string.sub(packed, rest)
  end
  after[#after + 1] = '\30' .. device .. '\31' .. changed
end
if counted then redis.call('SET', KEYS[1], table.concat(after)) end

while #kept >= MOST_CONTENTS do table.remove(kept, 1) end
kept[#kept + 1] = table.concat({content, origin, ARGV[9], msgtime, other, table.concat(decided, '\30')}, '\31')
redis.call('SET', KEYS[2], table.concat(kept, '\28'), 'PX', ARGV[4])
return table.concat(answer)
