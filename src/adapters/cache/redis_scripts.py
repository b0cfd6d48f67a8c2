"""Lua scripts, which the Redis server executes atomically.

A value is `R` and the bytes of a copy, `L` and the token of a read lease, or `W` and the tokens of the write leases.
Each script may run late or twice: a fill without its read lease does nothing, and everything else only deletes copies.
"""

WRITE_LEASE_BYTES_MAX = 1_000
"""Tokens of writers that died would otherwise collect on a key that is written often."""

LOOK_UP = """
local values = redis.call('MGET', unpack(KEYS))
local leased = 0
for i = 1, #KEYS do
  if not values[i] then
    redis.call('SET', KEYS[i], 'L' .. ARGV[1], 'PX', ARGV[2])
    leased = leased + 1
  elseif string.sub(values[i], 1, 1) == 'R' then
    values[i] = string.sub(values[i], 2)
  else
    values[i] = false
  end
end
return {leased, values}
"""
"""ARGV: a new read lease, its milliseconds. Returns the number of keys leased, and the bytes of each copy or nil."""

FILL = """
for i = 1, #KEYS do
  if redis.call('GET', KEYS[i]) == 'L' .. ARGV[1] then
    redis.call('SET', KEYS[i], 'R' .. ARGV[i + 2], 'PX', ARGV[2])
  end
end
return 1
"""
"""ARGV: the read lease, milliseconds to keep the copies, the bytes of each copy."""

TAKE_WRITE_LEASE = f"""
for i = 1, #KEYS do
  local value = redis.call('GETRANGE', KEYS[i], 0, {WRITE_LEASE_BYTES_MAX})
  local tokens = ''
  if string.sub(value, 1, 1) == 'W' then tokens = string.sub(value, 2) end
  if not string.find(tokens, ARGV[1], 1, true) then
    tokens = string.sub(tokens .. ARGV[1], -{WRITE_LEASE_BYTES_MAX})
  end
  redis.call('SET', KEYS[i], 'W' .. tokens, 'PX', ARGV[2])
end
return 1
"""
"""ARGV: a new write lease, its milliseconds."""

INVALIDATE = f"""
for i = 1, #KEYS do
  local value = redis.call('GETRANGE', KEYS[i], 0, {WRITE_LEASE_BYTES_MAX})
  local others = ''
  if string.sub(value, 1, 1) == 'W' then
    others = string.sub(value, 2)
    local first, last = string.find(others, ARGV[1], 1, true)
    if first then others = string.sub(others, 1, first - 1) .. string.sub(others, last + 1) end
  end
  if others == '' then
    redis.call('DEL', KEYS[i])
  elseif others ~= string.sub(value, 2) then
    redis.call('SET', KEYS[i], 'W' .. others, 'PX', ARGV[2])
  end
end
return 1
"""
"""ARGV: the write lease to end, or an empty text; the milliseconds of a write lease."""
