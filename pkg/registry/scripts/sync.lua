-- Says whether a device's number has to be corrected because a message of it was read elsewhere: where the message's
-- push may have been shown, unless a correction is on its way, which will bring the number as it is then.
-- KEYS: mark of the message's first push, note of the correction that is on its way.
-- ARGV: now, message's digest, how long a correction is on its way (ms), whether a mark would be forgotten by now (1|0).
-- Answer: 1 or 0. A repeat for the same message is answered as before.
local known = redis.call('GET', KEYS[1])
if known then
  local state, _, _, _, reason, _, maybe = string.match(known, MARK)
  if maybe == '' and (state == 'x' or (state == 'd' and reason ~= '')) then return '0' end
elseif ARGV[4] == '0' then
  return '0' -- still on its way to the provider: admit will find it read
end
local waiting = redis.call('GET', KEYS[2])
if waiting then
  local till, message = string.match(waiting, '^(%d+)\31(.*)$')
  if tonumber(ARGV[1]) < tonumber(till) then return message == ARGV[2] and '1' or '0' end
end
local till = string.format('%d', tonumber(ARGV[1]) + tonumber(ARGV[3]))
redis.call('SET', KEYS[2], till .. '\31' .. ARGV[2], 'PX', ARGV[3])
return '1'
