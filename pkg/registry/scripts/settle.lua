-- Writes what became of a notification into its mark (see admit.lua), unless the mark has come further.
-- KEYS: mark. ARGV: state (r, d, x), owner, attempt, redrive, next attempt, reason, life (ms).
local known = redis.call('GET', KEYS[1])
if known then
  local state, attempts, redrives, holder = string.match(known, '^(%l)\31%d+\31(%d+)\31(%d+)\31[^\31]*\31(.*)$')
  local redrive = tonumber(ARGV[4])
  redrives = tonumber(redrives)
  if redrive < redrives then return '0' end
  if redrive == redrives then
    if state == 'd' or state == 'x' then return '0' end
    -- The provider accepted it: true whoever holds the lease now.
    if ARGV[1] ~= 'd' and (tonumber(ARGV[3]) < tonumber(attempts) or (holder ~= '' and holder ~= ARGV[2])) then
      return '0'
    end
  end
end
redis.call('SET', KEYS[1], table.concat({ARGV[1], '0', ARGV[5], ARGV[4], ARGV[6], ''}, '\31'), 'PX', ARGV[7])
return '1'
