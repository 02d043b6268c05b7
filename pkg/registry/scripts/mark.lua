-- What became of one notification: state (l = leased, r = released, d = done, x = dead, a = done, and the device's own
-- service has it), lease's end (ms), attempt, redrive, reason, owner and, where an attempt may have been shown although
-- no answer says so, a plus sign. That is never taken back, whatever later attempts bring.
local MARK = '^(%l)\31(%d+)\31(%d+)\31(%d+)\31([^\31]*)\31([^\31]*)\31?(%+?)$'

local function put_mark(key, life, state, ends, attempt, redrive, reason, owner, maybe)
  local values = {state, ends, attempt, redrive, reason, owner}
  if maybe == '+' then values[7] = maybe end
  redis.call('SET', key, table.concat(values, '\31'), 'PX', life)
end
