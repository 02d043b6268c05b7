-- The messages that a device's number counts: beside the number, which is the total, a sorted set of their digests by
-- record time (ms), so that one that is read or recalled can be taken out of it, an unread report takes out those up to
-- its time, and none counts twice. Messages that no longer fit into the set stay in the number: they are folded.
-- In the device's values the number stands first in its tally; behind it, each after a colon, where there are such: the
-- time of the newest unread report, how many messages were folded since, and the record time of the newest of these.
local MOST_COUNTED = 128
local COUNTED_LIFE = 8 * 24 * 3600 * 1000 -- ms; a message is pushed for a week at most

-- The values of a tally: number and report's time as text, empty = none; how many were folded, their newest time.
local function read_tally(tally)
  local number, reported, folded, newest = string.match(tally, '^(%d*):?(%d*):?(%d*):?(%d*)$')
  return number, reported, tonumber(folded) or 0, tonumber(newest) or NEVER
end

local function pack_tally(number, reported, folded, newest)
  if folded > 0 then return string.format('%d:%s:%d:%d', number, reported, folded, newest) end
  if reported ~= '' then return string.format('%d:%s', number, reported) end
  return string.format('%d', number)
end

-- Counts a message into a device's number; says the device's values and the number then, nothing where it did not grow:
-- the message is counted already, or was there when the device last reported. from is where the tally begins.
local function count(key, digest, at, packed, from)
  local tally = string.match(packed, '^[%d:]*', from)
  local number, reported, folded, newest = read_tally(tally)
  if reported ~= '' and at <= tonumber(reported) then return nil end
  if redis.call('ZADD', key, 'NX', at, digest) == 0 then return nil end
  redis.call('PEXPIRE', key, COUNTED_LIFE)
  number = tonumber(number) or 0
  -- There are no more messages in the set than in the number.
  if number >= MOST_COUNTED then
    local oldest = redis.call('ZRANGE', key, 0, -MOST_COUNTED - 1, 'WITHSCORES')
    if #oldest > 0 then
      redis.call('ZREMRANGEBYRANK', key, 0, -MOST_COUNTED - 1)
      folded, newest = folded + #oldest / 2, math.max(newest, tonumber(oldest[#oldest]))
    end
  end
  return string.sub(packed, 1, from - 1) .. pack_tally(number + 1, reported, folded, newest) ..
    string.sub(packed, from + #tally), string.format('%d', number + 1)
end

-- Takes a message out of a device's number; says the device's values then, nothing where it was not counted.
local function uncount(key, digest, packed)
  if redis.call('ZREM', key, digest) == 0 then return nil end
  local _, _, _, _, from, badge, to = string.match(packed, PRESENCE)
  return string.sub(packed, 1, from - 1) .. string.format('%d', math.max((tonumber(badge) or 0) - 1, 0)) ..
    string.sub(packed, to)
end

-- The tally of a device that reports how many messages were unread at a time; what was counted after that is not in the
-- report and stays on top. An older report changes nothing, and neither does the same one again: nothing that it covers
-- was counted since. Folded messages stay while one of them is newer than the report, though some may be older: a number
-- that is too large is put right by the next report, a message that was forgotten never.
local function report(key, tally, at, unread)
  local _, reported, folded, newest = read_tally(tally)
  if reported ~= '' and tonumber(at) < tonumber(reported) then return tally end
  redis.call('ZREMRANGEBYSCORE', key, '-inf', at)
  if newest <= tonumber(at) then folded = 0 end
  return pack_tally(tonumber(unread) + redis.call('ZCARD', key) + folded, at, folded, newest)
end

-- The tally of a device that logs out: the number stands, and counts none of the messages any more.
local function forget(key, tally)
  redis.call('DEL', key)
  local number, reported = read_tally(tally)
  return number == '' and tally or pack_tally(tonumber(number), reported, 0, NEVER)
end
