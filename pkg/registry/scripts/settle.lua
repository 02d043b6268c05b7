-- Writes what became of a notification into its mark, unless the mark has come further.
-- KEYS: mark. ARGV: state (r, d, x), owner, attempt, redrive, next attempt, reason, life (ms), the attempt may have been
--   shown (1|0).
local known = redis.call('GET', KEYS[1])
local maybe = ARGV[8] == '1' and '+' or ''
if known then
  local state, _, attempts, redrives, _, holder, earlier = string.match(known, MARK)
  if earlier == '+' then maybe = earlier end
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
put_mark(KEYS[1], ARGV[7], ARGV[1], '0', ARGV[5], ARGV[4], ARGV[6], '', maybe)
return '1'
