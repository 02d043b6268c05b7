-- Notes that a user has read a message, and takes it out of the devices' numbers.
-- KEYS: user, read mark, epoch marker, prefix of the counted messages.
-- ARGV: now, activity limit, presence lease, message's digest, read mark's life (ms), device on which it was read.
-- Answer: E, or for each other device whose number fell and that would be pushed to, after a record separator: message's
-- record time, number, id, binding.
-- The read mark holds the device on which the message was read and those whose number fell, with the message's record
-- time: a repeat of the receipt names them again, because what followed the first time may be lost.
local found = redis.call('MGET', KEYS[3], KEYS[1], KEYS[2])
if not found[1] then return 'E' end
local user, reader = found[2] or '', ARGV[6]

local fell = ''
if found[3] then
  local by, list = string.match(found[3], '^([^\30]*)(.*)$')
  if by ~= reader then return '' end
  fell = list
else
  local after, changed = {}, false
  for device, packed in string.gmatch(user, '\30([^\31]*)\31([^\30]*)') do
    local key = KEYS[4] .. device
    local at = redis.call('ZSCORE', key, ARGV[4])
    if at then
      packed, changed = uncount(key, ARGV[4], packed), true
      if device ~= reader then fell = fell .. '\30' .. string.format('%d', tonumber(at)) .. '\31' .. device end
    end
    after[#after + 1] = '\30' .. device .. '\31' .. packed
  end
  if changed then
    user = table.concat(after)
    redis.call('SET', KEYS[1], user)
  end
  redis.call('SET', KEYS[2], reader .. fell, 'PX', ARGV[5])
end

local answer = {}
for at, device in string.gmatch(fell, '\30(%d+)\31([^\30]*)') do
  local packed = find(user, device)
  if packed then
    local code, rest, badge = verdict(tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), packed)
    if code == 'b' or code == 'k' then
      answer[#answer + 1] = '\30' .. table.concat({at, badge, device, string.sub(packed, rest)}, '\31')
    end
  end
end
return table.concat(answer)
