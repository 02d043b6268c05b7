
-- Takes a token from a device, if it still has that token from an event no newer than the one that gave it to another.
-- KEYS: user. ARGV: device, token, event time of the new owner.
-- Answer: empty where there is no binding, else its state as in apply.lua.
local user = redis.call('GET', KEYS[1]) or ''
local packed = find(user, ARGV[1])
if not packed then return '' end
local f, l, b, k, badge, bound, tokened, state, version, platform, credential, language, token =
  string.match(packed, DEVICE)
if bound == '' then return '' end
if token == ARGV[2] and tonumber(tokened ~= '' and tokened or bound) <= tonumber(ARGV[3]) then
  token = ''
  version = string.format('%d', tonumber(version) + 1)
  bound = string.format('%d', tonumber(bound) + 1) -- as in apply.lua
  local after = table.concat({f, l, b, k, badge, bound, tokened, state, version, platform, credential, language, token}, '\31')
  store(KEYS[1], user, ARGV[1], after, math.huge)
end
return table.concat({bound, state, version, platform, credential, language, token}, '\31')
