-- The messages that a device's number counts: beside the number, which is the total, a sorted set of their digests by
-- record time (ms), so that one that is read or recalled can be taken out of it, an unread report takes out those before
-- it, and none counts twice. Messages that no longer fit into the set stay in the number.
local MOST_COUNTED = 128
local COUNTED_LIFE = 8 * 24 * 3600 * 1000 -- ms; a message is pushed for a week at most

-- Counts a message into a device's number; says the number then, and whether it grew.
local function count(key, digest, at, number)
  if redis.call('ZADD', key, 'NX', at, digest) == 0 then return number, false end
  redis.call('PEXPIRE', key, COUNTED_LIFE)
  -- There are no more messages in the set than in the number.
  if number >= MOST_COUNTED then redis.call('ZREMRANGEBYRANK', key, 0, -MOST_COUNTED - 1) end
  return number + 1, true
end

-- Takes a message out of a device's number; says the device's values then, nothing where it was not counted.
local function uncount(key, digest, packed)
  if redis.call('ZREM', key, digest) == 0 then return nil end
  local _, _, _, _, from, badge, to = string.match(packed, PRESENCE)
  return string.sub(packed, 1, from - 1) .. string.format('%d', math.max((tonumber(badge) or 0) - 1, 0)) ..
    string.sub(packed, to)
end
