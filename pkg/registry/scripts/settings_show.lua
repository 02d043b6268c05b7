-- Reads a user's settings, changes nothing.
-- KEYS: settings. ARGV: 1 = only what is not about one conversation.
-- Answer: empty where there are none, else the general values, and per conversation after a record separator: its name,
-- option, event time (ms).
if ARGV[1] == '1' then return redis.call('HGET', KEYS[1], '') or '' end
local all, general, answer = redis.call('HGETALL', KEYS[1]), '', {}
for i = 1, #all, 2 do
  if all[i] == '' then
    general = all[i + 1]
  else
    answer[#answer + 1] = '\30' .. all[i] .. '\31' .. all[i + 1]
  end
end
if #all == 0 then return '' end
if general == '' then general = NO_SETTINGS end
return general .. table.concat(answer)
