
-- Says whether a notification may be sent now, and claims it.
-- KEYS: user, mark, epoch marker.
-- ARGV: now, activity limit, presence lease, life of a done mark, life of another mark (ms),
--   device, owner, send lease (ms), attempt, redrive, platform, version.
-- Answer: E | D reason | L ms left | F reason | M binding | G badge [unit binding].
-- The mark: state (l = leased, r = released, d = done, x = dead), lease's end, attempt, redrive, reason, owner.
if redis.call('EXISTS', KEYS[3]) == 0 then return 'E' end
local now, owner = tonumber(ARGV[1]), ARGV[7]
local attempt, redrive = tonumber(ARGV[9]), tonumber(ARGV[10])

local function mark(state, ends, reason, who, life)
  redis.call('SET', KEYS[2], table.concat({state, ends, ARGV[9], ARGV[10], reason, who}, '\31'), 'PX', life)
end
local function filtered(code)
  mark('d', '0', code, '', ARGV[4])
  return 'F' .. code
end

local known = redis.call('GET', KEYS[2])
if known then
  local state, ends, attempts, redrives, reason, holder =
    string.match(known, '^(%l)\31(%d+)\31(%d+)\31(%d+)\31([^\31]*)\31(.*)$')
  ends, attempts, redrives = tonumber(ends), tonumber(attempts), tonumber(redrives)
  if (state == 'd' or state == 'x') and redrive <= redrives then return 'D' .. reason end
  if redrive < redrives or (redrive == redrives and attempt < attempts) then return 'Fs' end
  if state == 'l' and holder ~= owner and now < ends then return string.format('L%d', ends - now) end
end

local packed = find(redis.call('GET', KEYS[1]) or '', ARGV[6])
if not packed then return filtered('o') end
local code, rest, badge, _, _, platform = verdict(now, tonumber(ARGV[2]), tonumber(ARGV[3]), packed)
if not code then return filtered('o') end
if code ~= 'b' and code ~= 'k' then return filtered(code) end
local binding = string.sub(packed, rest)
if platform ~= ARGV[11] then return 'M' .. binding end

mark('l', string.format('%d', now + tonumber(ARGV[8])), '', owner, ARGV[5])
if badge == '0' then badge = '' end
if string.match(binding, '^%d+') ~= ARGV[12] then return 'G' .. badge .. '\31' .. binding end
return 'G' .. badge
