-- A user's settings are one hash. The field with the empty name holds what is not about one conversation, eleven values
-- with unit separators between them, empty = not set:
--   newest event time (ms), push (1|0), sound of one-to-one, sound of groups,
--   daily quiet window: start (seconds after midnight), duration (s), zone, the zone's offset from UTC (s), until when
--   that offset holds (ms); one quiet window: start, end (ms)
-- A field named after a conversation holds the user's receive option for it and that option's event time (ms).
-- A window without an offset is of a zone that is not known here: it is off, and looked at again when its time is over.
local GENERAL = '^(%d*)\31([01]?)\31([^\31]*)\31([^\31]*)\31(%d*)\31(%d*)\31([^\31]*)\31(-?%d*)\31(%d*)\31(%d*)\31(%d*)$'
local NO_SETTINGS = string.rep('\31', 10)
local DAY = 86400

-- Whether the user turned push off. general is the field with the empty name, here and below; '' = none.
local function push_off(general)
  local _, push = string.match(general, GENERAL)
  return push == '0'
end

-- The sound that the user chose for messages of groups, or for one-to-one; '' = none.
local function default_sound(general, group)
  local _, _, single, groups = string.match(general, GENERAL)
  return (group and groups or single) or ''
end

-- Whether now (ms) lies in one of the quiet windows. Where nobody can tell before the zone's offset is renewed: nil, 'Z'.
local function quiet(now, general)
  local _, _, _, _, start, duration, _, offset, valid, from, till = string.match(general, GENERAL)
  if not start then return false end
  if from ~= '' and now >= tonumber(from) and now < tonumber(till) then return true end
  if start == '' then return false end
  if now >= tonumber(valid) then return nil, 'Z' end
  if offset == '' then return false end
  local clock = math.floor(now / 1000) + tonumber(offset)
  return (clock - tonumber(start)) % DAY < tonumber(duration)
end
