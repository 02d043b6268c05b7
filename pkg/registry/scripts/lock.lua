-- Take, extend (ARGV[2] > 0 ms) or give back (0) the lock KEYS[1] for the owner ARGV[1].
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return '0' end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return '1'
