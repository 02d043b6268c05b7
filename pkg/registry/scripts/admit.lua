-- Says whether a notification may be sent now, and claims it.
-- KEYS: user, mark, epoch marker, settings, read mark, mark of the first push, prefix of the counted messages.
-- ARGV: now, activity limit, presence lease, life of a done mark, life of another mark (ms),
--   device, owner, send lease (ms), attempt, redrive, platform, version, purpose, type,
--   one device in the foreground silences all (1|0), digest of the message key.
-- Answer: E | Z | D reason | L ms left | F reason | M binding | G badge [unit binding]. Z as in decide.lua.
local found = redis.call('MGET', KEYS[3], KEYS[1], KEYS[2], KEYS[5], KEYS[6])
if not found[1] then return 'E' end
local now, activity, lease = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local device, owner, attempt, redrive = ARGV[6], ARGV[7], tonumber(ARGV[9]), tonumber(ARGV[10])
local purpose, kind = ARGV[13], ARGV[14]
local user = found[2] or ''

local known = found[3]
local state, ends, attempts, redrives, reason, holder, maybe
if known then state, ends, attempts, redrives, reason, holder, maybe = string.match(known, MARK) end

local function mark(as, till, why, who, life)
  put_mark(KEYS[2], life, as, till, ARGV[9], ARGV[10], why, who, maybe)
end
local packed = find(user, device)
local function filtered(code)
  mark('d', '0', code, '', ARGV[4])
  if purpose == '' and packed then -- what is not pushed does not count
    local less = uncount(KEYS[7] .. device, ARGV[16], packed)
    if less then store(KEYS[1], user, device, less, math.huge) end
  end
  return 'F' .. code
end

if known then
  ends, attempts, redrives = tonumber(ends), tonumber(attempts), tonumber(redrives)
  if state == 'a' or ((state == 'd' or state == 'x') and redrive <= redrives) then return 'D' .. reason end
  if redrive < redrives or (redrive == redrives and attempt < attempts) then return 'Fs' end
  if state == 'l' and holder ~= owner and now < ends then return string.format('L%d', ends - now) end
  if state == 'l' and holder ~= owner then maybe = '+' end -- whoever had it is gone, perhaps right after the send
end

-- What replaces the first push, or stands in for it, goes by what became of that one.
if purpose == 'recall' or purpose == 'fallback' then
  local became, till, _, _, why, _, shown = string.match(found[5] or '', MARK)
  local refused = became == 'd' and why ~= ''
  if purpose == 'fallback' then
    if became == 'a' then return filtered('s') end
    if refused then return filtered(why) end
  else
    if became == 'a' and ARGV[11] ~= 'service' then return filtered('s') end -- no fallback was shown
    if became == 'l' and now < tonumber(till) then return string.format('L%d', tonumber(till) - now) end
    -- A lease that ran out leaves open whether it was shown. What only waited, or was refused, was shown nowhere.
    if not became or (shown == '' and (became == 'r' or became == 'x' or refused)) then return filtered('c') end
  end
end

if not packed then return filtered('o') end
local code, rest, badge, _, platform, service = verdict(now, activity, lease, packed, kind == 'voip')
if not code then return filtered('o') end
if kind == 'voip' and not string.find(packed, '\29', 1, true) and (code == 'b' or code == 'k') then code = 'n' end
if code ~= 'b' and code ~= 'k' then return filtered(code) end

local general = redis.call('HGET', KEYS[4], '') or ''
if purpose == '' or purpose == 'fallback' then
  if found[4] then return filtered('r') end
  if ARGV[15] == '1' then
    for _, other in string.gmatch(user, '\30([^\31]*)\31([^\30]*)') do
      if opened(now, lease, verdict(now, activity, lease, other), other) then return filtered('f') end
    end
  end
  local why = unwanted(now, general)
  if why == 'Z' then return why end
  if why then return filtered(why) end
elseif push_off(general) then -- a correction makes no sound: quiet hours let it pass
  return filtered('p')
end

local binding = string.sub(packed, rest)
-- Without a service to fall back from the first push goes to the device's platform itself, or is all there is.
if purpose == 'fallback' and not service then return filtered('s') end
if platform ~= ARGV[11] and not (service and ARGV[11] == 'service') then return 'M' .. binding end

mark('l', string.format('%d', now + tonumber(ARGV[8])), '', owner, ARGV[5])
badge = visible(badge, kind, purpose)
if string.match(binding, '^%d+') ~= ARGV[12] then return 'G' .. badge .. '\31' .. binding end
return 'G' .. badge
