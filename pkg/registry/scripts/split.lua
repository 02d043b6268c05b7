
-- Splits a group's next bucket, where its members are too many for its buckets.
-- KEYS: group, the bucket to be split, the bucket that comes.
-- ARGV: buckets by which these were found, most members per bucket on average, now, how long who left is remembered (ms), modulus.
-- Answer: G buckets, where another has to be split | W.
local now, life, modulus = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local most = tonumber(ARGV[2])
local period = math.floor(now / life)
local buckets, present, gone, gone_before = group(redis.call('GET', KEYS[1]), period)
if buckets == tonumber(ARGV[1]) and present > buckets * most then
  local all = redis.call('HGETALL', KEYS[2])
  local stay, go = {}, {}
  for i = 1, #all, 2 do
    local to = stay
    if tonumber(string.sub(redis.sha1hex(all[i]), 1, 8), 16) % modulus == buckets then to = go end
    to[#to + 1], to[#to + 2] = all[i], all[i + 1]
  end
  for key, half in pairs({[KEYS[2]] = stay, [KEYS[3]] = go}) do
    local kept, here, oldest = keep(half, now - life)
    rewrite(key, kept, here, oldest, ARGV[4])
  end
  buckets = buckets + 1
  redis.call('SET', KEYS[1], table.concat({number(buckets), number(present), number(period), number(gone), number(gone_before)}, ','))
end
if present > buckets * most then return 'G' .. number(buckets) end
return 'W'
