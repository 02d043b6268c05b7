-- Takes a token from a device, if it still has that token from an event no newer than the one that gave it to another.
-- KEYS: user. ARGV: device, token, event time of the new owner, kind (empty, voip).
-- Answer: empty where there is no binding, else its state as in apply.lua.
local user = redis.call('GET', KEYS[1]) or ''
local packed = find(user, ARGV[1])
if not packed then return '' end
local f, l, b, k, tally, bound, times, state, version, platform, service, credential, language, token, voip =
  string.match(packed, DEVICE)
if bound == '' then return '' end
local tokened, voiped = tokens_times(times, bound)

local had, since = token, tokened
if ARGV[4] == 'voip' then had, since = voip, voiped end
if same_token(had) == same_token(ARGV[2]) and tonumber(since) <= tonumber(ARGV[3]) then
  if ARGV[4] ~= 'voip' then token = '' end
  -- With its token the whole installation went to another user: it must not ring for the former one's calls.
  if tonumber(voiped) <= tonumber(ARGV[3]) then voip = '' end
  version = string.format('%d', tonumber(version) + 1)
  bound = string.format('%d', tonumber(bound) + 1) -- as in apply.lua
  local after = table.concat({f, l, b, k, tally, bound, pack_times(tokened, voiped, bound, voip), state,
    bind(version, platform, service, credential, language, token, voip)}, '\31')
  store(KEYS[1], user, ARGV[1], after, math.huge)
end
return table.concat({bound, state, bind(version, platform, service, credential, language, token, voip)}, '\31')
