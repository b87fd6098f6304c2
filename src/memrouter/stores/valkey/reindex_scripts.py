"""The Lua scripts of a reindex, each on the keys of one owner (``NOTE``: on the metadata)."""

from typing import Final

from memrouter.stores.embedding_space import PHASE
from memrouter.stores.valkey.packed import PARTS
from memrouter.stores.valkey.scripts import AFTER, RAISE_GENERATION, READ, REMOVE, WRITE, LuaScript

# Where the new vector of a memory stands as long as it is not moved: 40 hex digits of SHA-1 over its text, the vector.
_MADE: Final = f"""
local MODEL, BYTES, AT = ARGV[5], tonumber(ARGV[6]), {PARTS.index("embedding_model") + 1}
local function state(key, entry, content, record)
  local readable, packed = pcall(cjson.decode, record or '')
  if not content or not readable then return 'unusable' end
  if packed[AT] == MODEL and redis.call('HSTRLEN', key, 'embedding') == BYTES then return 'done', packed end
  if entry and string.sub(entry, 1, 40) == redis.sha1hex(content) then return 'made', packed end
  return 'left', packed
end
local batch = after(KEYS[1], ARGV[2], ARGV[3], tonumber(ARGV[4]))
"""

# KEYS ids, next; ARGV key base, id and created_at of the last one seen (empty at first), how many, model and bytes of
# the new vectors. Returns id and created_at of the last one, how many there were, ids and texts in turn.
LOOK: Final = LuaScript(
    READ
    + AFTER
    + _MADE
    + """
local texts = {}
for i = 1, #batch, 2 do
  local key = ARGV[1] .. batch[i]
  local f = redis.call('HMGET', key, 'content', 'record')
  if state(key, redis.call('HGET', KEYS[2], batch[i]), f[1], f[2]) == 'left' then
    texts[#texts + 1] = batch[i]
    texts[#texts + 1] = f[1]
  end
end
return {batch[#batch - 1] or '', batch[#batch] or '0', #batch / 2, texts}
"""
)

# KEYS next; ARGV key base, then id, SHA-1 of the text and vector in turn. Returns how many were kept.
PUT: Final = LuaScript(
    WRITE
    + """
local kept = 0
for i = 2, #ARGV, 3 do
  local content = redis.call('HGET', ARGV[1] .. ARGV[i], 'content')
  if content and redis.sha1hex(content) == ARGV[i + 1] then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1] .. ARGV[i + 2])
    kept = kept + 1
  end
end
return kept
"""
)

# KEYS ids, next, gen; ARGV as LOOK. Returns id and created_at of the last one, how many there were, how many have
# their new vector now, how many have none.
MOVE: Final = LuaScript(
    REMOVE
    + RAISE_GENERATION
    + AFTER
    + _MADE
    + """
local done, left, changed = 0, 0, false
for i = 1, #batch, 2 do
  local key = ARGV[1] .. batch[i]
  local f = redis.call('HMGET', key, 'content', 'record')
  local entry = redis.call('HGET', KEYS[2], batch[i])
  local now, packed = state(key, entry, f[1], f[2])
  if now == 'made' then
    packed[AT] = MODEL
    redis.call('HSET', key, 'embedding', string.sub(entry, 41), 'record', cjson.encode(packed))
    redis.call('HDEL', KEYS[2], batch[i])
    changed = true
  end
  if now == 'left' then left = left + 1 elseif now ~= 'unusable' then done = done + 1 end
end
if changed then raise(KEYS[3]) end
return {batch[#batch - 1] or '', batch[#batch] or '0', #batch / 2, done, left}
"""
)

# KEYS meta; ARGV the phase that must hold (empty for none), then fields and values. Returns whether it was written.
NOTE: Final = LuaScript(
    WRITE
    + f"""
if (redis.call('HGET', KEYS[1], '{PHASE}') or '') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
return 1
"""
)
