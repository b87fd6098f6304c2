"""The Lua scripts: every step that must be atomic, each on the keys of one slot.

A script that walks an owner's memories builds their keys from the declared ones: same hash tag, same slot.

Arguments 1 to 9 of the scripts that select memories are a *selection*: key base, user id, project id (empty: all),
time, a ``Visibility``, types and sources (comma-separated with commas at both ends;
empty: all), whether a conversation is asked for (``1``), its id.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from memrouter.stores.embedding_space import DIMENSION, MODEL, PHASE, Phase
from memrouter.stores.valkey.errors import FENCED
from memrouter.stores.valkey.packed import DIGEST_CHARS, PACKED_FIELDS, PARTS
from memrouter.stores.valkey.rows import SCOPE_CHARS

Arg: TypeAlias = str | bytes | int | float


@dataclass(frozen=True, slots=True)
class LuaScript:
    """One script.

    Attributes:
        text: Its source.
        sha: The name under which the server keeps it.
    """

    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha", hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest())


@dataclass(frozen=True, slots=True)
class ScriptCall:
    """A script with its keys and arguments."""

    script: LuaScript
    keys: Sequence[Arg]
    args: Sequence[Arg]

    def by_digest(self) -> list[Arg]:
        """Return the command for a server that knows the script."""
        return ["EVALSHA", self.script.sha, len(self.keys), *self.keys, *self.args]

    def by_text(self) -> list[Arg]:
        """Return the command for a server that does not; it knows the script from then on."""
        return ["EVAL", self.script.text, len(self.keys), *self.keys, *self.args]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


READ = "#!lua flags=no-writes\n"
WRITE = "#!lua\n"  # refused as a whole at maxmemory, never half done
REMOVE = "#!lua flags=allow-oom\n"

# Takes what ``Fence`` puts behind the keys and arguments: the metadata, and the writer's model and dimension. In a
# cluster the metadata stand in another slot: then neither is there but an empty argument.
FENCE = f"""
local own = table.remove(ARGV)
if own ~= '' then
  local notes = redis.call('HMGET', table.remove(KEYS), '{MODEL}', '{DIMENSION}', '{PHASE}')
  local moving = notes[3] == '{Phase.SEALED}' or notes[3] == '{Phase.SWITCHING}'
  if moving or (notes[1] and notes[1] .. ' ' .. (notes[2] or '') ~= own) then
    return redis.error_reply('{FENCED} vectors of another model are kept')
  end
end
"""

ROW = f"""
local function row(key) return redis.call('HMGET', key, {_listed(PACKED_FIELDS)}) end
local function access_of(key, ids)
  local found = {{}}
  for first = 1, #ids, 1000 do
    local part = redis.call('HMGET', key, unpack(ids, first, math.min(first + 999, #ids)))
    for i = 1, #part do found[#found + 1] = part[i] end
  end
  return found
end
"""

# A generation must never come again, not even after a flush or a restored backup: answers kept elsewhere stand on it.
# So it is at least the server's time in microseconds, which fits a Lua number until the year 2255.
RAISE_GENERATION = """
local function raise(key)
  local time = redis.call('TIME')
  local following = (tonumber(redis.call('GET', key) or 0)) + 1
  following = string.format('%.0f', math.max(following, time[1] * 1000000 + time[2]))
  redis.call('SET', key, following)
  return following
end
"""

# A memory whose HASH lacks a field that is asked for has it in its record.
PACKED = f"""
local PARTS = {{{", ".join(f"{name} = {index + 1}" for index, name in enumerate(PARTS))}}}
local function packed_part(key, name)
  local readable, packed = pcall(cjson.decode, redis.call('HGET', key, 'record') or '')
  local part = readable and type(packed) == 'table' and packed[PARTS[name]]
  return type(part) == 'string' and part
end
"""

# Members of OwnerKeys.content. Those of memories of format 1, which have a field ``digest``, hold both digests whole.
# Stands behind PACKED.
TWINS = f"""
local function short_digest(digest) return string.sub(digest, 1, {DIGEST_CHARS}) end
local function twin_member(digest, scope, id)
  return short_digest(digest) .. string.sub(scope, 1, {SCOPE_CHARS}) .. id
end
local function forget_twin(members, key, id)
  local digest, scope = unpack(redis.call('HMGET', key, 'digest', 'scope'))
  digest = digest or packed_part(key, 'digest')
  if digest and scope then
    redis.call('ZREM', members, twin_member(digest, scope, id), digest .. scope .. id)
  end
end
"""

_SELECT = (
    PACKED
    + """
local NOW, PROJECT = tonumber(ARGV[4]), ARGV[3]
local function one_of(list, word) return list == '' or string.find(list, ',' .. (word or '') .. ',', 1, true) ~= nil end
local function in_scope(user, project) return user == ARGV[2] and (PROJECT == '' or project == PROJECT) end
local function shown(key, live_until, expires_at)
  if ARGV[5] == 'any' then return true end
  local visible = tonumber(live_until or 0) > NOW
  if visible or ARGV[5] == 'visible' then return visible and (ARGV[5] == 'visible' or ARGV[5] == 'unexpired') end
  expires_at = expires_at or packed_part(key, 'expires_at')
  if expires_at and tonumber(expires_at) <= NOW then return false end
  local apart, superseded = unpack(redis.call('HMGET', key, 'quarantine', 'superseded_by'))
  if ARGV[5] == 'unexpired' then return not apart end
  return apart and (ARGV[5] == 'quarantined_unexpired' or not superseded)
end
local function wanted(key, kind, source, conversation)
  if not (one_of(ARGV[6], kind) and one_of(ARGV[7], source)) then return false end
  return ARGV[8] ~= '1' or (conversation or packed_part(key, 'conversation_id')) == ARGV[9]
end
local function selects(key, f)
  return in_scope(f[1], f[2]) and shown(key, f[6], f[7]) and wanted(key, f[3], f[4], f[5])
end
local function selected(key)
  local f = redis.call('HMGET', key,
    'user_id', 'project_id', 'memory_type', 'source', 'conversation_id', 'live_until', 'expires_at')
  return selects(key, f), f
end
"""
)

# The row of a memory that is selected, in one command and not in two.
_SELECTED_ROW = f"""
local function selected_row(key)
  local f = redis.call('HMGET', key, 'user_id', 'project_id', 'memory_type', 'source', 'conversation_id', 'live_until',
    'expires_at', {_listed(PACKED_FIELDS)})
  return selects(key, f) and {{f[8], f[9], f[10]}}
end
"""

# A walk goes newest first and stands on the last memory that it left behind: a rank would move under it. Where that
# memory is gone, the walk begins again with those of the same millisecond, so that it never skips one.
AFTER = """
local function after(ids_key, id, score, size)
  local start = 0
  if id ~= '' then
    local rank = redis.call('ZREVRANK', ids_key, id)
    start = rank and rank + 1 or redis.call('ZCOUNT', ids_key, '(' .. score, '+inf')
  end
  return redis.call('ZREVRANGE', ids_key, start, start + size - 1, 'WITHSCORES')
end
"""

# Byte by byte, as a ZSET orders its members; Lua's own comparison depends on the server's locale.
BEFORE = """
local function before(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end
"""

# A vector that a reindex has made goes with the text that it is of. Its key differs from the owner's ids and gen in the
# last three letters.
FORGET_NEXT = """
local function forget_next(side_key, id) redis.call('HDEL', string.sub(side_key, 1, -4) .. 'next', id) end
"""

# Stands behind TWINS.
REMOVAL = (
    FORGET_NEXT
    + """
local removed = 0
local function remove(id, key)
  forget_twin(KEYS[4], key, id)
  removed = removed + redis.call('UNLINK', key)
  redis.call('ZREM', KEYS[1], id)
  redis.call('HDEL', KEYS[3], id)
  forget_next(KEYS[1], id)
end
"""
)

GET = LuaScript(
    READ
    + ROW
    + """
local rows = {}
for i = 2, #KEYS do rows[i - 1] = row(KEYS[i]) end
return {rows, access_of(KEYS[1], ARGV)}
"""
)
"""KEYS access, memories; ARGV their ids. Returns rows and access entries, in this order."""

RECOUNT = 100
"""An owner over the scan limit is counted again when it has grown by this part of the limit, or is not larger: counting
5,000 memories takes 35 ms of the server's time, and each turn that is stored adds one."""

SEPARATOR = "\\255"
"""Stands between the texts of an owner in one string, as Lua writes it: a byte that UTF-8 never has."""

SCAN = LuaScript(
    READ
    + ROW
    + f"""
local base, project, now, limit, size = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local function shown(live_until, its_project)
  return tonumber(live_until or 0) > now and (project == '' or its_project == project)
end
local generation = tonumber(redis.call('GET', KEYS[2]) or 0)
local total, count = redis.call('ZCARD', KEYS[1]), 0
local grown = total - ARGV[7]
if total > limit and (generation == tonumber(ARGV[6]) or (grown > 0 and grown * {RECOUNT} <= limit)) then
  return {{generation, 'large', tonumber(ARGV[7])}}
end
local all = redis.call('ZREVRANGE', KEYS[1], 0, -1)
for i = 1, total > limit and total or 0 do
  if shown(unpack(redis.call('HMGET', base .. all[i], 'live_until', 'project_id'))) then count = count + 1 end
  if count > limit then return {{generation, 'large', total}} end
end
local ids, packed, contents, vectors, even = {{}}, {{}}, {{}}, {{}}, true
for i = 1, #all do
  local f = redis.call('HMGET', base .. all[i], 'live_until', 'project_id', {_listed(PACKED_FIELDS)})
  if shown(f[1], f[2]) then
    local n = #ids + 1
    ids[n], packed[n], contents[n], vectors[n] = all[i], f[3], f[4], f[5]
    even = even and f[3] and (f[4] or '') ~= '' and f[5] and #f[5] == size
  end
end
if not even then return {{generation, 'uneven'}} end
local function text(column) return table.concat(column, '{SEPARATOR}') end
return {{generation, 'rows', text(packed), text(contents), table.concat(vectors), access_of(KEYS[3], ids)}}
"""
)
"""An owner whole. KEYS ids, gen, access; ARGV key base, project id (empty: all), time, limit, bytes of a vector, a
generation for which the owner is known to be over the limit and how many memories it had when they were counted (-1 for
none).

Returns the generation with ``large`` and that number where more than ``limit`` memories of the scope are visible, which
is taken for granted while the owner has grown since by at most a RECOUNT-th of the limit; or with ``rows``, all that
are visible, newest first: each field of packed rows as one string, texts with SEPARATOR between, and access entries; or
with ``uneven``, where a row lacks a field or has a vector of another length.
"""

WALK = LuaScript(
    READ
    + ROW
    + _SELECT
    + _SELECTED_ROW
    + AFTER
    + """
local function may_hold_a_word(key)
  if ARGV[13] ~= '1' then return true end
  local content = redis.call('HGET', key, 'content') or ''
  if string.find(content, '[\\128-\\255]') then return true end
  local folded = string.lower(content)
  for i = 14, #ARGV do
    if string.find(folded, ARGV[i], 1, true) then return true end
  end
  return false
end
local batch = after(KEYS[1], ARGV[10], ARGV[11], tonumber(ARGV[12]))
local rows, ids = {}, {}
for i = 1, #batch, 2 do
  local key = ARGV[1] .. batch[i]
  local found = may_hold_a_word(key) and selected_row(key)
  if found then
    rows[#rows + 1] = found
    ids[#ids + 1] = batch[i]
  end
end
return {batch[#batch - 1] or '', batch[#batch] or '0', #batch / 2, rows, access_of(KEYS[2], ids)}
"""
)
"""The next memories of a walk. KEYS ids, access; ARGV a selection, id and ``created_at`` of the last one seen (empty
at first), how many to look at, ``1`` where only those that may hold a word are wanted, the words (ASCII, lower-case).

Returns id and ``created_at`` of the last one looked at, how many were looked at, rows, access entries. What holds a
character beyond ASCII always may hold a word: the caller decides.
"""

LIST = LuaScript(
    READ
    + ROW
    + _SELECT
    + AFTER
    + BEFORE
    + """
local limit, since, last = tonumber(ARGV[13]), tonumber(ARGV[14]), ARGV[15]
local all = after(KEYS[1], ARGV[10], ARGV[11], tonumber(ARGV[12]))
local total, rows, ids = 0, {}, {}
for i = 1, #all, 2 do
  local key = ARGV[1] .. all[i]
  if selected(key) then
    total = total + 1
    if #rows < limit then
      local created = tonumber(all[i + 1])
      if not since or created < since or (created == since and before(all[i], last)) then
        rows[#rows + 1] = row(key)
        ids[#ids + 1] = all[i]
      end
    end
  end
end
return {all[#all - 1] or '', all[#all] or '0', #all / 2, total, rows, access_of(KEYS[2], ids)}
"""
)
"""A step of a page. KEYS ids, access; ARGV a selection, id and ``created_at`` of the last one seen (empty at first),
how many to look at, most rows, ``created_at`` and id that the page starts behind (empty for the first page).

Returns id and ``created_at`` of the last one looked at, how many were looked at, how many are selected, rows newest
first, access entries.
"""

STATS = LuaScript(
    READ
    + _SELECT
    + AFTER
    + """
local groups, bytes, oldest, newest = {}, 0, false, false
local all = after(KEYS[1], ARGV[10], ARGV[11], tonumber(ARGV[12]))
for i = 1, #all, 2 do
  local key = ARGV[1] .. all[i]
  local yes, f = selected(key)
  if yes then
    local name = (f[3] or '') .. ',' .. (f[4] or '')
    groups[name] = (groups[name] or 0) + 1
    bytes = bytes + redis.call('HSTRLEN', key, 'content')
    newest = newest or all[i + 1]
    oldest = all[i + 1]
  end
end
local counts = {}
for name, number in pairs(groups) do
  counts[#counts + 1] = name
  counts[#counts + 1] = number
end
return {all[#all - 1] or '', all[#all] or '0', #all / 2, counts, bytes, oldest, newest}
"""
)
"""A step of figures. KEYS ids; ARGV a selection, id and ``created_at`` of the last one seen (empty at first), how many
to look at.

Returns id and ``created_at`` of the last one looked at, how many were looked at, ``type,source`` and number in turn,
bytes of content, ``created_at`` of the oldest and of the newest.
"""

# Stands behind TWINS.
STORE = """
local function store(key, p, vector)
  redis.call('HSET', key, 'embedding', vector, unpack(p[7]))
  redis.call('ZADD', KEYS[1], p[2], p[1])
  redis.call('ZADD', KEYS[4], 0, twin_member(p[3], string.sub(p[3], 33), p[1]))
  if p[5] ~= '' then redis.call('HSET', KEYS[3], p[1], p[5]) end
end
"""

CREATE = LuaScript(
    WRITE
    + FENCE
    + RAISE_GENERATION
    + PACKED
    + TWINS
    + STORE
    + """
local unique, base = ARGV[1] == '1', ARGV[2]
local function twin_of(whole, created, seen)
  for _, earlier in ipairs(seen[whole] or {}) do
    if earlier.live_until > created then return earlier.id end
  end
  local digest, scope = short_digest(whole), string.sub(whole, 33)
  local short = twin_member(digest, scope, '')
  for _, member in ipairs(redis.call('ZRANGEBYLEX', KEYS[4], '[' .. digest, '(' .. digest .. '\\255')) do
    local prefix = string.sub(member, 1, #whole) == whole and whole or short
    if string.sub(member, 1, #prefix) == prefix then
      local id = string.sub(member, #prefix + 1)
      local f = redis.call('HMGET', base .. id, 'live_until', 'scope')
      if tonumber(f[1] or 0) > created and f[2] == scope then return id end
    end
  end
  return false
end
local packed, vectors = cmsgpack.unpack(ARGV[3]), ARGV[4]
local size = #vectors / #packed
local kept, taken, fresh, seen = {}, {}, {}, {}
for i = 1, #packed do
  local p, key = packed[i], KEYS[i + 4]
  local id, prefix = p[1], p[3]
  local twin = unique and twin_of(prefix, tonumber(p[2]), seen)
  kept[#kept + 1] = twin or id
  if not twin then
    if redis.call('EXISTS', key) == 1 then taken[#taken + 1] = id end
    fresh[#fresh + 1] = i
    seen[prefix] = seen[prefix] or {}
    table.insert(seen[prefix], {id = id, live_until = tonumber(p[4])})
  end
end
if #taken > 0 then return {'taken', taken} end
for _, i in ipairs(fresh) do store(KEYS[i + 4], packed[i], string.sub(vectors, (i - 1) * size + 1, i * size)) end
if #fresh > 0 then raise(KEYS[2]) end
return {'kept', kept}
"""
)
"""New memories of one owner, all or none. KEYS those of a ``Bulk``; ARGV ``1`` for unique content, key base, its texts,
its vectors.

Returns ``taken`` and the ids that exist, or ``kept`` and for each memory the id under which its content is kept.
"""

TOUCH = LuaScript(
    WRITE
    + """
local now, counted = tonumber(ARGV[1]), 0
for i = 2, #KEYS do
  local f = redis.call('HMGET', KEYS[i], 'user_id', 'project_id', 'live_until', 'access_count')
  if f[1] == ARGV[2] and (ARGV[3] == '' or f[2] == ARGV[3]) and tonumber(f[3] or 0) > now then
    local entry = redis.call('HGET', KEYS[1], ARGV[i + 2])
    local count, last = string.match(entry or '', '^(%d+):(%d*)$')
    count = tonumber(count or f[4] or 0) + 1
    last = math.max(tonumber(last) or 0, now)
    redis.call('HSET', KEYS[1], ARGV[i + 2], string.format('%d:%d', count, last))
    counted = counted + 1
  end
end
return counted
"""
)
"""Accesses, apart from the indexed HASHes. KEYS access, memories; ARGV time, user id, project id (empty: all), ids.

Returns how many were counted: only visible memories are.
"""

DELETE = LuaScript(
    REMOVE
    + RAISE_GENERATION
    + _SELECT
    + TWINS
    + REMOVAL
    + """
for i = 5, #KEYS do
  if selected(KEYS[i]) then remove(ARGV[i + 5], KEYS[i]) end
end
if removed > 0 then raise(KEYS[2]) end
return removed
"""
)
"""Named memories. KEYS ids, gen, access, content, memories; ARGV a selection, ids. Returns how many were removed."""

DELETE_WALK = LuaScript(
    REMOVE
    + RAISE_GENERATION
    + _SELECT
    + TWINS
    + REMOVAL
    + AFTER
    + """
local id, score = ARGV[10], ARGV[11]
local batch = after(KEYS[1], id, score, tonumber(ARGV[12]))
for i = 1, #batch, 2 do
  local key = ARGV[1] .. batch[i]
  local yes, f = selected(key)
  if yes or not f[1] then
    remove(batch[i], key)
  else
    id, score = batch[i], batch[i + 1]
  end
end
if removed > 0 then raise(KEYS[2]) end
return {id, score, #batch / 2, removed}
"""
)
"""The next memories of a walk, removed. KEYS ids, gen, access, content; ARGV a selection, id and ``created_at`` of the
last one kept (empty at first), how many to look at.

Returns id and ``created_at`` of the last one kept, how many were looked at, how many were removed.
"""

DELETE_UNTAGGED = LuaScript(
    REMOVE
    + _SELECT
    + """
local f = redis.call('HMGET', KEYS[1], 'user_id', 'project_id', 'memory_type', 'source', 'conversation_id')
if in_scope(f[1], f[2] or 'default') and wanted(KEYS[1], f[3], f[4], f[5]) then
  return redis.call('UNLINK', KEYS[1])
end
return 0
"""
)
"""A Go router's memory. KEYS memory; ARGV a selection. Returns how many were removed."""

COUNT_UNTAGGED = LuaScript(
    WRITE
    + """
local now = tonumber(ARGV[1])
for i = 2, #ARGV, 2 do
  local count, last = string.match(redis.call('HGET', KEYS[1], ARGV[i]) or '', '^(%d+):(%d*)$')
  last = math.max(tonumber(last) or 0, now)
  redis.call('HSET', KEYS[1], ARGV[i], string.format('%d:%d', tonumber(count or ARGV[i + 1]) + 1, last))
end
return (#ARGV - 1) / 2
"""
)
"""Accesses of a Go router's memories. KEYS access of the owner; ARGV time, then id and the HASH's own count in turn."""

RAISE = LuaScript(REMOVE + RAISE_GENERATION + "raise(KEYS[1])")
"""KEYS gen. For changes of keys that stand in other slots than their owner's generation."""
