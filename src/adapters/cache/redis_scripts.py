"""What the Redis server does in one step. Each script sees and leaves a consistent set of places.

A place is a text: `R`, the version in VERSION_DIGITS digits, the record's bytes; or `L` and a reader's lease; or `H`
and a writer's hold. Versions are compared as text, because Lua's numbers lose digits above 2**53. Scripts that change
places answer 1.
"""

VERSION_DIGITS = 20
_DATA_AT = VERSION_DIGITS + 2

LOOK_UP = f"""
local places = redis.call('MGET', unpack(KEYS))
local leased = 0
for i = 1, #KEYS do
  local place = places[i]
  if not place then
    redis.call('SET', KEYS[i], 'L' .. ARGV[1], 'PX', ARGV[2])
    leased = leased + 1
  elseif string.sub(place, 1, 1) == 'R' then
    places[i] = string.sub(place, {_DATA_AT})
  else
    places[i] = false
  end
end
return {{leased, places}}
"""
"""ARGV: a new lease, its milliseconds. Answers how many places were leased, and each record's bytes or nil."""

FILL = """
for i = 1, #KEYS do
  if redis.call('GET', KEYS[i]) == 'L' .. ARGV[1] then
    redis.call('SET', KEYS[i], 'R' .. ARGV[i + 2], 'PX', ARGV[2])
  end
end
return 1
"""
"""ARGV: the lease, milliseconds to keep, then each record's version and bytes as one text."""

HOLD = """
for i = 1, #KEYS do
  redis.call('SET', KEYS[i], 'H' .. ARGV[1], 'PX', ARGV[2])
end
return 1
"""
"""ARGV: a new hold, its milliseconds."""

PUT = f"""
for i = 1, #KEYS do
  local place = redis.call('GET', KEYS[i])
  local copy = ARGV[i + 2]
  if place then
    local kind = string.sub(place, 1, 1)
    local version = string.sub(copy, 1, {VERSION_DIGITS})
    local is_older_copy = kind == 'R' and string.sub(place, 2, {VERSION_DIGITS + 1}) < version
    if place == 'H' .. ARGV[1] or is_older_copy then
      if #copy > {VERSION_DIGITS} then
        redis.call('SET', KEYS[i], 'R' .. copy, 'PX', ARGV[2])
      else
        redis.call('DEL', KEYS[i])
      end
    elseif kind == 'L' then
      redis.call('DEL', KEYS[i])
    end
  end
end
return 1
"""
"""ARGV: the hold, milliseconds to keep, then each record's version and bytes as one text; without bytes it goes."""

RELEASE = """
for i = 1, #KEYS do
  local place = redis.call('GET', KEYS[i])
  if place and (string.sub(place, 1, 1) ~= 'H' or place == 'H' .. ARGV[1]) then
    redis.call('DEL', KEYS[i])
  end
end
return 1
"""
"""ARGV: the hold."""

FORGET = """
for i = 1, #KEYS do
  local place = redis.call('GET', KEYS[i])
  if place and string.sub(place, 1, 1) == 'H' then
    redis.call('SET', KEYS[i], 'H' .. ARGV[1], 'PX', ARGV[2])
  else
    redis.call('DEL', KEYS[i])
  end
end
return 1
"""
"""ARGV: a new hold, its milliseconds. Held places stay held, but what the earlier holder may still put is too late."""
