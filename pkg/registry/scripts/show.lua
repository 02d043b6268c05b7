-- Reads a user's devices, changes nothing.
-- KEYS: user. ARGV: now, activity limit, lease (ms).
-- Answer, per device after a record separator: presence and reason code, id, times of foreground, lease, background and
-- killed, badge, event time and state of the binding and what follows.
local now, activity, lease = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local answer = {}
for device, packed in string.gmatch(redis.call('GET', KEYS[1]) or '', '\30([^\31]*)\31([^\30]*)') do
  local f, l, b, k, tally, bound, _, state = string.match(packed, DEVICE)
  local code, rest = verdict(now, activity, lease, packed)
  local base = f
  if (tonumber(l) or NEVER) > (tonumber(f) or NEVER) then base = l end
  answer[#answer + 1] = '\30' .. table.concat({presence(now, lease, f, l, b, k) .. (code or 'n'), device, f, base, b, k,
    string.match(tally, '^%d*'), bound, state, rest and string.sub(packed, rest) or ''}, '\31')
end
return table.concat(answer)
