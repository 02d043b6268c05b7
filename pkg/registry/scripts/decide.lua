-- Claims a message for a user and decides every device.
-- KEYS: user, claim, epoch marker, settings, read mark of the message key, and of the key with its content, prefix of the
--   counted messages.
-- ARGV: now, activity limit, lease, claim's life, origin, content, MsgTime, window, record time (ms), counts (1|0),
--   digest of the message key, and of the key with its content, conversation (empty = no receive option counts),
--   group (1|0), mentioned (1|0), one device in the foreground silences all (1|0), type.
-- Answer: E, Z where the quiet hours' offset from UTC has to be renewed first, or N|R|D, 1 where other content was seen,
-- and the user's sound, then per device: reason code and badge, id, binding.
local MOST_CONTENTS = 16 -- under one claim, so that nobody can grow it without end

local found = redis.call('MGET', KEYS[3], KEYS[1], KEYS[2], KEYS[5], KEYS[6])
if not found[1] then return 'E' end
local now, activity, lease = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local origin, content, msgtime, at, kind = ARGV[5], ARGV[6], ARGV[7], tonumber(ARGV[9]), ARGV[17]

local user = found[2] or ''
local other, kept = '0', {}
for entry in string.gmatch(found[3] or '', '[^\28]+') do
  local c, o, r, m, x, sound, decision = string.match(entry, CLAIM)
  if c == content then
    if o == origin then
      local answer = {'R', x, sound}
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
local digest, read = ARGV[11], found[4]
if other == '1' then digest, read = ARGV[12], found[5] end

-- First what the devices say for themselves, then, where one of them would get a push, what the user says.
local devices, silenced, wanted = {}, false, false
for device, packed in string.gmatch(user, '\30([^\31]*)\31([^\30]*)') do
  local code, rest, badge, from = verdict(now, activity, lease, packed, kind == 'voip')
  devices[#devices + 1] = {device, packed, code, rest, badge, from}
  if code == 'b' or code == 'k' then wanted = true end
  if ARGV[16] == '1' and opened(now, lease, code, packed) then silenced = true end
end
local why, sound = nil, ''
if wanted and silenced then
  why = 'f'
elseif wanted then
  local settings = redis.call('HMGET', KEYS[4], '', ARGV[13])
  local general = settings[1] or ''
  if read then why = 'r' else why = unwanted(now, general, ARGV[13] ~= '' and settings[2], ARGV[15] == '1') end
  if why == 'Z' then return why end
  sound = default_sound(general, ARGV[14] == '1')
end

local answer, decided, after, counted = {'N', other, sound}, {}, {}, false
for _, d in ipairs(devices) do
  local device, packed, code, rest, badge, from = unpack(d, 1, 6)
  local changed = packed
  if code then
    local shown = ''
    if code == 'b' or code == 'k' then
      if why then
        code = why
      else
        if ARGV[10] == '1' then
          local grown, number = count(KEYS[7] .. device, digest, at, packed, from)
          if grown then counted, changed, badge = true, grown, number end
        end
        shown = visible(badge, kind)
      end
    end
    decided[#decided + 1] = code .. shown .. ':' .. device
    answer[#answer + 1] = '\30' .. code .. shown .. '\31' .. device .. '\31' .. string.sub(packed, rest)
  end
  after[#after + 1] = '\30' .. device .. '\31' .. changed
end
if counted then redis.call('SET', KEYS[1], table.concat(after)) end

while #kept >= MOST_CONTENTS do table.remove(kept, 1) end
kept[#kept + 1] = table.concat({content, origin, ARGV[9], msgtime, other, sound, table.concat(decided, '\30')}, '\31')
redis.call('SET', KEYS[2], table.concat(kept, '\28'), 'PX', ARGV[4])
return table.concat(answer)
