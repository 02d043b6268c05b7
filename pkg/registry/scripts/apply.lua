-- Applies one event to a device.
-- KEYS: user, epoch marker, device's counted messages.
-- ARGV: device, event time, presence (f, l, b, k or empty), unread, binding (login, token, logout, rejected,
--   rejected voip or empty), version, platform (empty = as it is), service (1, 0), credential, language, token, VoIP token
--   (each of these five: unit separator = as it is), most devices.
-- Answer: E, empty, or the binding's state: event time, state, version, platform, credential, language, tokens.
if redis.call('EXISTS', KEYS[2]) == 0 then return 'E' end
local device, at, mode, action = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[5]

local user = redis.call('GET', KEYS[1]) or ''
local packed = find(user, device)
local f, l, b, k, tally, bound, times, state, version, platform, service, credential, language, token, voip =
  string.match(packed or UNKNOWN, DEVICE)
local tokened, voiped = tokens_times(times, bound)

local function newer(known) return known == '' or at > tonumber(known) end
if mode ~= '' then
  if ARGV[4] ~= '' then tally = report(KEYS[3], tally, ARGV[2], ARGV[4]) end
  if mode == 'f' and newer(f) then f = ARGV[2] end
  if mode == 'l' and newer(l) then l = ARGV[2] end
  if mode == 'b' and newer(b) then b = ARGV[2] end
  if mode == 'k' and newer(k) then k = ARGV[2] end
  -- Of equal times the one that comes later holds.
  if (mode == 'f' or mode == 'b') and ARGV[2] == k then k = '' end
end

local concerned = false
local before = state .. bind(version, platform, service, credential, language, token, voip)
if action == 'rejected' or action == 'rejected voip' then
  concerned = bound ~= ''
  if concerned and at >= tonumber(bound) and version == ARGV[6] then
    local rejected = token
    if action == 'rejected' then token = '' else rejected, voip = voip, '' end
    -- A repeat of the login that brought the token must not bring it again.
    if rejected ~= '' then bound = string.format('%d', tonumber(bound) + 1) end
  end
elseif action ~= '' and (bound == '' or at >= tonumber(bound)) then
  concerned = true
  bound = ARGV[2]
  if action == 'logout' then
    state = 'o'
    tally = forget(KEYS[3], tally)
  else
    if action == 'login' or state == '' then state = 'i' end
    local moved = ARGV[7] ~= '' and platform ~= '' and ARGV[7] ~= platform
    if ARGV[7] ~= '' then platform = ARGV[7] end
    if ARGV[8] ~= '\31' then service = ARGV[8] == '1' and '+' or '' end
    if ARGV[9] ~= '\31' then credential = ARGV[9] end
    if ARGV[10] ~= '\31' then language = ARGV[10] end
    if ARGV[11] ~= '\31' then token, tokened = ARGV[11], ARGV[2] end
    if ARGV[12] ~= '\31' then
      voip, voiped = ARGV[12], ARGV[2]
    elseif ARGV[11] == '' or moved then
      voip = '' -- push is off for calls too, or the token is of the platform that the device left
    end
  end
end
if state .. bind(version, platform, service, credential, language, token, voip) ~= before then
  version = string.format('%d', (tonumber(version) or 0) + 1)
end

local binding = bind(version, platform, service, credential, language, token, voip)
local after = table.concat({f, l, b, k, tally, bound, pack_times(tokened, voiped, bound, voip), state, binding}, '\31')
if after ~= packed then store(KEYS[1], user, device, after, tonumber(ARGV[13])) end
if not concerned then return '' end
return table.concat({bound, state, binding}, '\31')
