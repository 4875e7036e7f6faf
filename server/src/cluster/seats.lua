#!lua name=rtc_5
-- The rules of server/src/cluster/seats.rs once more, as one atomic step at the broker. A room is one hash; its name in
-- braces is what Redis Cluster chooses the place by. The number in the library's name counts up with any change in here.

-- Since when this process remembers. Not stored: a broker that lost what it knew, or a replica that took over, begins anew.
local born

-- The latest time that was seen, and by how much the system's clock has been set back since this process began.
local last, back = 0, 0

-- When a node last said that it lives, and for how long its seats are held.
local beaten, held

-- The last number that was given to a seat. No two of one room have the same, even where it was empty for less than a millisecond.
local numbered = 0

local GRACE = 2

local function time()
  local t = redis.call('TIME')
  local now = t[1] * 1000 + math.floor(t[2] / 1000) + back
  if now < last then
    back = back + last - now
    now = last
  end
  last = now
  -- Nobody could renew what ran out meanwhile: this process has hung, or its clock was set forward, or no node reached it.
  if not born or (beaten and now - beaten > math.floor(held / GRACE)) then born, beaten = now, nil end
  return now
end

-- The number as text that any reader takes for an integer.
local function int(n) return string.format('%.0f', n) end

-- What is there of a room, without what has run out.
local function load(key, now)
  local room = { seats = {}, out = {}, count = 0 }
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    local field, value = all[i], all[i + 1]
    if field == '!' then
      room.meta = cjson.decode(value)
    elseif string.sub(field, 1, 2) == 'k:' then
      if tonumber(value) > now then
        room.out[string.sub(field, 3)] = tonumber(value)
      else
        redis.call('HDEL', key, field)
      end
    else
      local seat = cjson.decode(value)
      if seat['until'] > now then
        room.seats[field] = seat
        room.count = room.count + 1
      else
        redis.call('HDEL', key, field)
      end
    end
  end
  if room.count == 0 then
    if #all > 0 then redis.call('DEL', key) end
    room.meta, room.out = nil, {}
  end
  return room
end

local function keep(key, room, peer, seat, now, lease)
  if not room.seats[peer] then room.count = room.count + 1 end
  room.seats[peer] = seat
  redis.call('HSET', key, '!', cjson.encode(room.meta), peer, cjson.encode(seat))
  -- What nobody renews is gone after every seat in it has run out.
  if redis.call('PTTL', key) < lease * 2 then redis.call('PEXPIRE', key, lease * 2) end
end

-- cjson writes an empty table as an object, so what may be empty is left out.
local function others(room, but)
  local found
  for peer, seat in pairs(room.seats) do
    if not but(peer, seat) then
      found = found or {}
      found[peer] = { node = seat.node, seat = seat.seat, turn = seat.turn, member = seat.member }
    end
  end
  return found
end

local function claim(key, a, now)
  local grace = math.floor(a.lease / GRACE)
  if now - born < grace then return { is = 'wait', ms = grace - (now - born) } end
  local room = load(key, now)
  local out = room.out[a.peer]
  if out then return { is = 'out', ms = out - now } end
  local own = room.seats[a.peer]
  if own and own.turn > a.turn then return { is = 'superseded' } end
  if not room.meta then room.meta = { capacity = a.capacity, last = 0 } end
  local count = room.count
  if own then count = count - 1 end
  if count >= room.meta.capacity then return { is = 'full', capacity = room.meta.capacity } end
  numbered = math.max(numbered + 1, now)
  room.meta.last = math.max(room.meta.last + 1, numbered)
  local rest = others(room, function(peer) return peer == a.peer end)
  local seat = {
    node = a.node, seat = room.meta.last, turn = a.turn, member = a.member, ['until'] = now + a.lease
  }
  keep(key, room, a.peer, seat, now, a.lease)
  return { is = 'seated', seat = room.meta.last, capacity = room.meta.capacity, first = count == 0, others = rest }
end

local function release(key, a, now)
  local room = load(key, now)
  local own = room.seats[a.peer]
  if own and own.seat == a.seat then
    room.seats[a.peer] = nil
    room.count = room.count - 1
    redis.call('HDEL', key, a.peer)
  end
  if room.count == 0 then
    redis.call('DEL', key)
    return { is = 'released' }
  end
  local nodes, known = {}, {}
  for _, seat in pairs(room.seats) do
    if not known[seat.node] then
      known[seat.node] = true
      nodes[#nodes + 1] = seat.node
    end
  end
  return { is = 'released', nodes = nodes }
end

local function sync(key, a, now)
  local room = load(key, now)
  if not room.meta then room.meta = { capacity = a.capacity, last = 0 } end
  local lost, superseded
  for peer, held in pairs(a.seats) do
    local known = room.seats[peer]
    if known and (known.turn > held.turn or (known.node ~= a.node and known.turn == held.turn)) then
      superseded = superseded or {}
      superseded[#superseded + 1] = peer
    elseif not known and room.count >= room.meta.capacity then
      lost = lost or {}
      lost[#lost + 1] = peer
    else
      room.meta.last = math.max(room.meta.last, held.seat)
      local seat = {
        node = a.node, seat = held.seat, turn = held.turn, member = held.member, ['until'] = now + a.lease
      }
      keep(key, room, peer, seat, now, a.lease)
    end
  end
  return {
    is = 'synced', capacity = room.meta.capacity, settled = now - born >= a.lease, lost = lost, superseded = superseded,
    others = others(room, function(_, seat) return seat.node == a.node end)
  }
end

local function put_out(key, a, now)
  local room = load(key, now)
  if room.count > 0 then
    redis.call('HSET', key, 'k:' .. a.peer, int(now + a.ms))
  end
  return { is = 'done' }
end

local function beat(key, a, now)
  beaten, held = now, a.lease
  local mine = {
    ['until'] = now + a.lease, peers = a.peers, held = a.held, counts = now + math.floor(a.lease / GRACE)
  }
  redis.call('HSET', key, a.node, cjson.encode(mine))
  redis.call('PEXPIRE', key, a.lease * 2)
  local nodes, told = {}, nil
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    local node = cjson.decode(all[i + 1])
    if node['until'] > now then
      nodes[all[i]] = node.peers
      if node.held and node.counts > now then
        told = told or {}
        told[all[i]] = node.held
      end
    else
      redis.call('HDEL', key, all[i])
    end
  end
  return { is = 'alive', nodes = nodes, born = born, held = told }
end

-- Where a peer is, and which of its hellos that was; forgotten in time, where its node died or it is there for longer, as then
-- all nodes are asked.
local function peer_of(key)
  local known = redis.call('GET', key)
  if known then return cjson.decode(known) end
  return { turn = 0 }
end

local function note(key, known, ms)
  -- What is written as a number is to be read as the same.
  redis.call('SET', key, cjson.encode({ turn = int(known.turn), node = known.node }), 'PX', ms)
end

local DAY = 86400000

local function turn(key, a, now)
  local known = peer_of(key)
  local number = math.max(tonumber(known.turn) + 1, now)
  note(key, { turn = number, node = a.node }, DAY)
  return { is = 'turn', turn = number, before = known.node }
end

local function here(key, a, _)
  local known = peer_of(key)
  if tonumber(known.turn) <= a.turn then note(key, { turn = a.turn, node = a.node }, DAY) end
  return { is = 'done' }
end

local function gone(key, a, _)
  local known = peer_of(key)
  -- Only those turns that may still be on their way have to be known.
  if known.node == a.node then note(key, { turn = tonumber(known.turn) }, 600000) end
  return { is = 'done' }
end

local function where(key, _, _)
  local known = peer_of(key)
  if known.node then return { is = 'taken', peer = string.match(key, '{(.*)}$'), node = known.node } end
  return { is = 'nobody' }
end

-- Whose a name is. By this clock, as the system's may be set back, which keeps keys for longer than was said.
local function owner(key, now)
  local known = redis.call('GET', key)
  if not known then return nil end
  known = cjson.decode(known)
  if known['until'] > now then return known end
end

local function name(key, a, now)
  local grace = math.floor(a.lease / GRACE)
  if a.fresh and now - born < grace then return { is = 'wait', ms = grace - (now - born) } end
  local known = owner(key, now)
  if known and known.peer ~= a.peer then return { is = 'taken', peer = known.peer, node = known.node } end
  local value = cjson.encode({ peer = a.peer, node = a.node, ['until'] = now + a.lease })
  redis.call('SET', key, value, 'PX', a.lease * 2)
  return { is = 'done' }
end

local function unname(key, a, now)
  local known = owner(key, now)
  if known and known.peer == a.peer and known.node == a.node then redis.call('DEL', key) end
  return { is = 'done' }
end

local function whose(key, _, now)
  local known = owner(key, now)
  if not known then return { is = 'nobody' } end
  return { is = 'taken', peer = known.peer, node = known.node }
end

local verbs = {
  ['claim'] = claim, ['release'] = release, ['sync'] = sync, ['put-out'] = put_out, ['beat'] = beat, ['turn'] = turn,
  ['here'] = here, ['gone'] = gone, ['where'] = where, ['name'] = name, ['unname'] = unname, ['whose'] = whose
}

local function ask(keys, args)
  local a = cjson.decode(args[1])
  local now = time()
  local answer = verbs[a.verb](keys[1], a, now)
  return cjson.encode(answer)
end

-- Parcels for one node, in this order.
local function bring(keys, args)
  for i = 3, #args do
    redis.call('XADD', keys[1], 'MAXLEN', '~', args[1], '*', 'p', args[i])
  end
  redis.call('PEXPIRE', keys[1], args[2])
  return redis.status_reply('OK')
end

-- A broker without memory gives nothing new. What is held is renewed, and what is said is brought: that is bounded, and
-- let go of as soon as it is read.
local full = { 'allow-oom' }
redis.register_function('rtc_5_give', ask)
redis.register_function{ function_name = 'rtc_5_keep', callback = ask, flags = full }
redis.register_function{ function_name = 'rtc_5_bring', callback = bring, flags = full }
