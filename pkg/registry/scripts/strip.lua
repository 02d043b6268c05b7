
-- Takes a token from a device, if it still has that token from an event no newer than the one that gave it to another.
-- KEYS: user. ARGV: device, token, event time of the new owner.
-- Answer: empty where there is no binding, else its state as in apply.lua.
local packed = redis.call('HGET', KEYS[1], ARGV[1])
if not packed then return '' end
local f, l, b, k, badge, bound, tokened, state, version, platform, credential, language, token =
  string.match(packed, DEVICE)
if bound == '' then return '' end
if token == ARGV[2] and tonumber(tokened) <= tonumber(ARGV[3]) then
  token = ''
  version = string.format('%d', tonumber(version) + 1)
  bound = string.format('%d', tonumber(bound) + 1) -- as in apply.lua
  redis.call('HSET', KEYS[1], ARGV[1], table.concat({f, l, b, k, badge, bound, tokened, state, version, platform,
    credential, language, token}, '\31'))
end
return table.concat({bound, state, version, platform, credential, language, token}, '\31')
