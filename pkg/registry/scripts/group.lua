-- A group's members lie in buckets, hashes from user to the user's stays, by linear hashing: bucket n, from 1 on, was split
-- off bucket n minus the highest power of two in it, and took those whose hash modulo the next power of two is n.
--   The group itself is one string: buckets, present members, the period in which somebody left last, how many left in it and
-- in the one before. A period is as long as who left is remembered (ms), so the two bound from above who may still stand there.
--   A bucket's field '' holds how many of its users are present, and the oldest time at which one of the others left (empty
-- = nobody did). A user's stays are: joined [, left [, joined and left before]] in ms, where left is empty while present and
-- equals joined where only the leaving is known.
local function number(n) return string.format('%d', n) end

-- buckets, present, period, left, left before; as of period now.
local function group(packed, now)
  local buckets, present, period, left, before = string.match(packed or '1,0,0,0,0', '^(%d+),(%d+),(%d+),(%d+),(%d+)$')
  local ago = now - tonumber(period)
  if ago == 1 then
    before = left
  elseif ago > 1 then
    before = 0
  end
  if ago > 0 then left = 0 end
  return tonumber(buckets), tonumber(present), tonumber(left), tonumber(before)
end

local function stays(packed)
  local joined, left, joined_before, left_before = string.match(packed, '^(%d+),?(%d*),?(%d*),?(%d*)$')
  return tonumber(joined), tonumber(left), tonumber(joined_before), tonumber(left_before)
end

-- The users and stays of what HGETALL answered, in pairs, without those who left before since; how many of them are present,
-- and when the first of the others left.
local function keep(all, since)
  local kept, present, oldest = {}, 0, nil
  for i = 1, #all, 2 do
    if all[i] ~= '' then
      local _, left = stays(all[i + 1])
      if not left or left >= since then
        kept[#kept + 1], kept[#kept + 2] = all[i], all[i + 1]
        if not left then
          present = present + 1
        elseif not oldest or left < oldest then
          oldest = left
        end
      end
    end
  end
  return kept, present, oldest
end

-- A bucket in which nobody is present goes when those who left are forgotten.
local function summarize(key, present, oldest, life)
  redis.call('HSET', key, '', number(present) .. ',' .. (oldest and number(oldest) or ''))
  if present == 0 then
    redis.call('PEXPIRE', key, life)
  else
    redis.call('PERSIST', key)
  end
end

-- Writes a bucket anew: as a fresh hash it is kept compact again, although it may have been large meanwhile.
local function rewrite(key, kept, present, oldest, life)
  redis.call('DEL', key)
  if #kept == 0 then return end
  for first = 1, #kept, 400 do -- a call takes a few thousand arguments at most
    redis.call('HSET', key, unpack(kept, first, math.min(first + 399, #kept)))
  end
  summarize(key, present, oldest, life)
end
