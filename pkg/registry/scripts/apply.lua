
-- Applies one event to a device.
-- KEYS: user, epoch marker.
-- ARGV: device, event time, presence (f, l, b, k or empty), unread, binding (login, token, logout, rejected or empty),
--   version, platform (empty = as it is), credential, language, token (unit separator = as it is), most devices.
-- Answer: E, empty, or the binding's state: event time, state, version, platform, credential, language, token.
if redis.call('EXISTS', KEYS[2]) == 0 then return 'E' end
local device, at, mode, action = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[5]

local user = redis.call('GET', KEYS[1]) or ''
local packed = find(user, device)
local f, l, b, k, badge, bound, tokened, state, version, platform, credential, language, token =
  string.match(packed or UNKNOWN, DEVICE)

if tokened == '' then tokened = bound end

local function newer(known) return known == '' or at > tonumber(known) end
if mode ~= '' then
  if ARGV[4] ~= '' and not (at < math.max(tonumber(f) or NEVER, tonumber(l) or NEVER, tonumber(b) or NEVER,
      tonumber(k) or NEVER)) then
    badge = ARGV[4]
  end
  if mode == 'f' and newer(f) then f = ARGV[2] end
  if mode == 'l' and newer(l) then l = ARGV[2] end
  if mode == 'b' and newer(b) then b = ARGV[2] end
  if mode == 'k' and newer(k) then k = ARGV[2] end
  -- Of equal times the one that comes later holds.
  if (mode == 'f' or mode == 'b') and ARGV[2] == k then k = '' end
end

local concerned = false
local before = table.concat({state, platform, credential, language, token}, '\31')
if action == 'rejected' then
  concerned = bound ~= ''
  if concerned and at >= tonumber(bound) and version == ARGV[6] and token ~= '' then
    token = ''
    bound = string.format('%d', tonumber(bound) + 1) -- a repeat of the login that brought the token must not bring it again
  end
elseif action ~= '' and (bound == '' or at >= tonumber(bound)) then
  concerned = true
  bound = ARGV[2]
  if action == 'logout' then
    state = 'o'
  else
    if action == 'login' or state == '' then state = 'i' end
    if ARGV[7] ~= '' then platform = ARGV[7] end
    if ARGV[8] ~= '\31' then credential = ARGV[8] end
    if ARGV[9] ~= '\31' then language = ARGV[9] end
    if ARGV[10] ~= '\31' then token, tokened = ARGV[10], ARGV[2] end
  end
end
if table.concat({state, platform, credential, language, token}, '\31') ~= before then
  version = string.format('%d', (tonumber(version) or 0) + 1)
end

if tokened == bound then tokened = '' end
local binding = table.concat({version, platform, credential, language, token}, '\31')
local after = table.concat({f, l, b, k, badge, bound, tokened, state, binding}, '\31')
if after ~= packed then store(KEYS[1], user, device, after, tonumber(ARGV[11])) end
if not concerned then return '' end
return table.concat({bound, state, binding}, '\31')
