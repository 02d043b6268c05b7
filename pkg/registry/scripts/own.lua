-- Says to whom a token belongs: to the device of the newest event that named it.
-- KEYS: token. ARGV: event time, owner (user, unit separator, device), life (ms).
-- Answer: L and the owner's time where a newer event gave it to another; else W and, after record separators, its owners
-- before. They are kept, newest first, so that a repeat after a crash names them again.
local MOST_FORMERS = 4

local known = redis.call('GET', KEYS[1])
local at, formers = ARGV[1], {}
if known then
  local time, owner, rest = string.match(known, '^(%d+)\31([^\30]*)(.*)$')
  if owner ~= ARGV[2] then
    if tonumber(at) < tonumber(time) then return 'L' .. time end
    formers[1] = owner
  elseif tonumber(at) < tonumber(time) then
    at = time
  end
  for former in string.gmatch(rest, '[^\30]+') do
    if former ~= ARGV[2] and #formers < MOST_FORMERS then formers[#formers + 1] = former end
  end
end
local before = ''
if #formers > 0 then before = '\30' .. table.concat(formers, '\30') end
redis.call('SET', KEYS[1], at .. '\31' .. ARGV[2] .. before, 'PX', ARGV[3])
return 'W' .. before
