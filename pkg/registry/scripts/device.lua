-- A user is one string: for each device a record separator, its id, a unit separator, and thirteen values with unit
-- separators between them. (A hash would cost 110 bytes more for one device.) The values:
--   newest times (ms, empty = none) of: foreground, stateless heartbeat, background, killed; tally of the badge (badge.lua);
--   binding: event time, tokens' times, state (i = logged in, o = out), version, platform, credential, language, tokens
-- The tokens' times are the token's and, after a colon, the VoIP token's; empty = the event time. A plus sign follows the
-- platform where the device's own service takes messages; a VoIP token follows the token after a group separator.
-- PRESENCE reads it for decisions; the positions allow to replace the number and to hand on what follows the state.
local PRESENCE = '^(%d*)\31(%d*)\31(%d*)\31(%d*)\31()(%d*)()[%d:]*\31(%d*)\31[%d:]*\31([io]?)\31()%d*\31([^\31+]*)(%+?)\31'
-- Its captures: presence times, tally, event time, tokens' times, state, version, platform, service, credential,
-- language, token, VoIP token.
local DEVICE = '^(%d*)\31(%d*)\31(%d*)\31(%d*)\31([%d:]*)\31(%d*)\31([%d:]*)\31([io]?)\31(%d*)' ..
  '\31([^\31+]*)(%+?)\31([^\31]*)\31([^\31]*)\31([^\29]*)\29?(.*)$'
local UNKNOWN = string.rep('\31', 12)
local NEVER = -1e18

-- foreground and background this close together (ms) mean background: their order cannot be told.
local NEAR = 2000

-- f, b, k: foreground, background, killed. A lease that ran out, or nothing known, is killed.
local function presence(now, lease, f, l, b, k)
  f, b, k = tonumber(f) or NEVER, tonumber(b) or NEVER, tonumber(k) or NEVER
  if k >= math.max(f, b) then return 'k' end
  if b >= f - NEAR then return 'b' end
  if now < math.max(f, tonumber(l) or NEVER) + lease then return 'f' end
  return 'k'
end

-- What a message means to the device: o = logged out, n = no token, i = inactive, else its presence.
-- nothing without a binding. rest is where the version begins; service says whether the device's own service takes
-- messages. A call also reaches a device that has a VoIP token alone.
local function verdict(now, activity, lease, packed, call)
  local f, l, b, k, from, badge, _, bound, state, rest, platform, service = string.match(packed, PRESENCE)
  if bound == '' then return nil end
  local code
  if state == 'o' then
    code = 'o'
  elseif platform == '' or string.byte(packed, -1) == 31 or (not call and string.find(packed, '\31\29', 1, true)) then
    code = 'n'
  elseif math.max(tonumber(bound), tonumber(f) or NEVER, tonumber(l) or NEVER, tonumber(b) or NEVER,
      tonumber(k) or NEVER) < now - activity then
    code = 'i'
  else
    code = presence(now, lease, f, l, b, k)
  end
  return code, rest, badge, from, platform, service == '+'
end

-- Whether the device's own service takes messages, with a fallback or without.
local function served(packed)
  local platform, service = select(11, string.match(packed, PRESENCE))
  return platform == 'service' or service == '+'
end

-- The values from the version on, packed.
local function bind(version, platform, service, credential, language, token, voip)
  if platform == 'service' then service = '' end -- it has nothing to fall back to
  if voip ~= '' then token = token .. '\29' .. voip end
  return table.concat({version, platform .. service, credential, language, token}, '\31')
end

-- A token as it is compared with others: see tokens.go.
local function same_token(token)
  return string.find(token, '^%x*$') and string.lower(token) or token
end

-- When the token and the VoIP token were named, as times that are never empty where there is a binding.
local function tokens_times(times, bound)
  local tokened, voiped = string.match(times, '^(%d*):?(%d*)$')
  return tokened ~= '' and tokened or bound, voiped ~= '' and voiped or bound
end

-- The inverse: a time that equals the binding's, or is that of no VoIP token, takes no room.
local function pack_times(tokened, voiped, bound, voip)
  if tokened == bound then tokened = '' end
  if voip == '' or voiped == bound then return tokened end
  return tokened .. ':' .. voiped
end

-- The values of a device and where they stand in its user's string; nothing where it is not known.
local function find(user, device)
  local _, before = string.find(user, '\30' .. device .. '\31', 1, true)
  if not before then return nil end
  local last = (string.find(user, '\30', before, true) or #user + 1) - 1
  return string.sub(user, before + 1, last), before + 1, last
end

-- The user's string without the device whose last event is the oldest.
local function without_oldest(user)
  local oldest, since = nil, math.huge
  for device, packed in string.gmatch(user, '\30([^\31]*)\31([^\30]*)') do
    local f, l, b, k, _, bound = string.match(packed, DEVICE)
    local last = NEVER
    for _, at in ipairs({f, l, b, k, bound}) do last = math.max(last, tonumber(at) or NEVER) end
    if last < since then oldest, since = device, last end
  end
  local _, first, last = find(user, oldest)
  return string.sub(user, 1, first - #oldest - 3) .. string.sub(user, last + 1)
end

-- Writes a device's values. A new device beyond the most that a user may have takes the place of the oldest.
local function store(key, user, device, packed, most)
  local _, first, last = find(user, device)
  if first then
    user = string.sub(user, 1, first - 1) .. packed .. string.sub(user, last + 1)
  else
    local _, count = string.gsub(user, '\30', '')
    if count >= most then user = without_oldest(user) end
    user = user .. '\30' .. device .. '\31' .. packed
  end
  redis.call('SET', key, user)
end
