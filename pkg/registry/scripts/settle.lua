-- Writes what became of a notification into its mark (see admit.lua), unless the mark has come further.
-- KEYS: mark. ARGV: state (r, d, x), owner, attempt, redrive, next attempt, reason, life (ms).
local known = redis.call('GET', KEYS[1])
if known then
  local state, attempts, redrives, holder = string.match(known, '^(%l)\31%d+\31(%d+)\31(%d+)\31[^\31]*\31(.*)$')
  local redrive = tonumber(ARGV[4])
  redrives = tonumber(redrives)
  if state == 'a' or redrive < redrives then return '0' end
  if redrive == redrives then
    if state == 'd' or state == 'x' then return '0' end
    -- The provider's answer is true whoever holds the lease now. That it accepted the notification is true whichever
    -- attempt it was; any other end of an older attempt is not the newer one's.
    local ended = ARGV[1] == 'd'
    if tonumber(ARGV[3]) < tonumber(attempts) and not (ended and ARGV[6] == '') then return '0' end
    if not ended and holder ~= '' and holder ~= ARGV[2] then return '0' end
  end
end
redis.call('SET', KEYS[1], table.concat({ARGV[1], '0', ARGV[5], ARGV[4], ARGV[6], ''}, '\31'), 'PX', ARGV[7])
return '1'
