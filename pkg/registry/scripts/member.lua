
-- Applies one membership: a user joined, or left.
-- KEYS: group, the user's bucket, epoch marker.
-- ARGV: buckets by which the bucket was found, most members per bucket on average, now, how long who left is remembered (ms),
--   restoring (1 = without the marker), user, time, joined (1|0).
-- Answer: E | S buckets, where there are more or fewer by now | G buckets, where one has to be split | W.
if ARGV[5] == '0' and redis.call('EXISTS', KEYS[3]) == 0 then return 'E' end
local now, life, user, at = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[6], tonumber(ARGV[7])
local period = math.floor(now / life)
local buckets, present, gone, gone_before = group(redis.call('GET', KEYS[1]), period)
if buckets ~= tonumber(ARGV[1]) then return 'S' .. number(buckets) end

local found = redis.call('HMGET', KEYS[2], user, '')
local joined, left, joined_before, left_before
if found[1] then joined, left, joined_before, left_before = stays(found[1]) end
local was = joined and not left

if ARGV[8] == '1' then
  if not joined then
    joined = at
  elseif left and at >= left then
    if joined < left then joined_before, left_before = joined, left end
    joined, left = at, nil
  elseif at < joined and at >= (left_before or 0) then
    joined = at
  end
elseif not joined then
  joined, left = at, at
elseif not left then
  if at >= joined then left = at end
elseif at > left then
  if joined < left then joined_before, left_before = joined, left end
  joined, left = at, at
end

local after = number(joined)
if left_before then
  after = table.concat({after, left and number(left) or '', number(joined_before), number(left_before)}, ',')
elseif left then
  after = after .. ',' .. number(left)
end
if after ~= found[1] then
  local here, oldest = string.match(found[2] or '0,', '^(%d+),(%d*)$')
  here, oldest = tonumber(here), tonumber(oldest)
  if oldest and oldest < now - life then
    local kept
    kept, here, oldest = keep(redis.call('HGETALL', KEYS[2]), now - life)
    rewrite(KEYS[2], kept, here, oldest, ARGV[4])
  end
  local is = not left
  if is and not was then here, present = here + 1, present + 1 end
  if was and not is then here, present, gone = here - 1, present - 1, gone + 1 end
  if left and (not oldest or left < oldest) then oldest = left end
  redis.call('HSET', KEYS[2], user, after)
  summarize(KEYS[2], here, oldest, ARGV[4])
  local packed = table.concat({number(buckets), number(present), number(period), number(gone), number(gone_before)}, ',')
  if present == 0 then
    redis.call('SET', KEYS[1], packed, 'PX', number(2 * life)) -- outlives its buckets
  else
    redis.call('SET', KEYS[1], packed)
  end
end
if present > buckets * tonumber(ARGV[2]) then return 'G' .. number(buckets) end
return 'W'
