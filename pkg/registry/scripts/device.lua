-- A device is one field of its user's hash: thirteen values with the unit separator between them.
--   newest times (ms, empty = none) of: foreground, stateless heartbeat, background, killed; badge;
--   binding: event time, token's time, state (i = logged in, o = out), version, platform, credential, language, token
-- PRESENCE reads it for decisions; the positions allow to replace the badge and to hand on what follows the state.
local PRESENCE = '^(%d*)\31(%d*)\31(%d*)\31(%d*)\31()(%d*)()\31(%d*)\31%d*\31([io]?)\31()%d*\31([^\31]*)'
local DEVICE = '^(%d*)\31(%d*)\31(%d*)\31(%d*)\31(%d*)\31(%d*)\31(%d*)\31([io]?)\31(%d*)\31([^\31]*)\31([^\31]*)\31([^\31]*)\31(.*)$'
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
-- nothing without a binding. rest is where the version begins.
local function verdict(now, activity, lease, packed)
  local f, l, b, k, from, badge, to, bound, state, rest, platform = string.match(packed, PRESENCE)
  if bound == '' then return nil end
  local code
  if state == 'o' then
    code = 'o'
  elseif platform == '' or string.byte(packed, -1) == 31 then
    code = 'n'
  elseif math.max(tonumber(bound), tonumber(f) or NEVER, tonumber(l) or NEVER, tonumber(b) or NEVER,
      tonumber(k) or NEVER) < now - activity then
    code = 'i'
  else
    code = presence(now, lease, f, l, b, k)
  end
  return code, rest, badge, from, to, platform
end

-- Before a device is added: where the user has the most that are allowed, the one whose last event is the oldest goes.
local function make_room(key, most)
  if redis.call('HLEN', key) < most then return end
  local devices, oldest, since = redis.call('HGETALL', key), nil, math.huge
  for i = 1, #devices, 2 do
    local f, l, b, k, _, bound = string.match(devices[i + 1], DEVICE)
    local last = NEVER
    for _, at in ipairs({f, l, b, k, bound}) do last = math.max(last, tonumber(at) or NEVER) end
    if last < since then oldest, since = devices[i], last end
  end
  redis.call('HDEL', key, oldest)
end
