-- Take or extend (ARGV[2] > 0 ms), or give back (0), the lock KEYS[1] for the owner ARGV[1].
-- Answer: 0 where another has it, X where the owner had it, T where nobody had it.
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return '0' end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return owner and 'X' or 'T'
