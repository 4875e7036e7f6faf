// Wiring: the address says which room, the person says when, the rest follows.

import { loadSession, Signaling } from './signaling.js';
import { Media, watchLevel } from './media.js';
import { Mesh } from './mesh.js';
import { canEncrypt, Protection } from './e2ee.js';
import { secretFault } from './sframe.js';
import * as ui from './ui.js';

const { $ } = ui;
const query = new URLSearchParams(location.search);
// What stands behind the # is never sent to a server by itself, nor logged.
const hidden = new URLSearchParams(location.hash.slice(1));
const token = hidden.get('token') ?? query.get('token') ?? undefined;
const flag = (name) => query.has(name) && !['0', 'false', 'no'].includes(query.get(name));
const refused = (name) => query.has(name) && !flag(name);
const STATS_MS = 1000;
const DEVICE = { audio: 'microphone', video: 'camera' };
const MAX_ROOM_BYTES = 128;

/** What is wrong with a room name; empty when nothing is. The same rule as the server's. */
function roomFault(room) {
  const bytes = new TextEncoder().encode(room).length;
  if (bytes === 0) return 'Give the room a name.';
  if (bytes > MAX_ROOM_BYTES) return `That is ${bytes} bytes long; ${MAX_ROOM_BYTES} is the most.`;
  if (/[/?#]|\p{Cc}/u.test(room) || room === '.' || room === '..') return 'A room name has no “/”, “?” or “#” in it.';
  return '';
}

function roomFromAddress() {
  if (query.has('room')) return query.get('room');
  try {
    return decodeURIComponent(location.pathname.slice(1));
  } catch {
    return location.pathname.slice(1);
  }
}

function addressOf(room) {
  return `${location.origin}/${encodeURIComponent(room)}`;
}

function cleanName(name) {
  return name.replaceAll(/\p{Cc}/gu, '').trim().slice(0, 64);
}

function remember(name) {
  try {
    localStorage.setItem('rtc.name', name);
  } catch {
    // Typed again next time.
  }
}

function rememberedName() {
  try {
    return localStorage.getItem('rtc.name') ?? '';
  } catch {
    return '';
  }
}

/** Why a call cannot be encrypted with `secret`; empty where it can, or where none is asked for. */
function protectionFault(secret) {
  if (secret === null) return '';
  if (!canEncrypt()) return 'This browser cannot encrypt end to end (or the page is not at localhost or over HTTPS).';
  return secretFault(secret);
}

/** The start page: a room to choose. */
function startPage(fault) {
  ui.show('start');
  const input = $('start-room');
  const wrong = (text) => {
    $('start-error').textContent = text;
    input.toggleAttribute('aria-invalid', Boolean(text));
  };
  wrong(fault);
  input.oninput = () => {
    wrong('');
    $('start-echo').textContent = input.value.trim() || 'foo';
  };
  $('start-form').onsubmit = (event) => {
    event.preventDefault();
    const room = input.value.trim();
    const fault = roomFault(room);
    wrong(fault);
    if (!fault) location.assign(addressOf(room));
  };
  input.focus();
}

/** One visit to one room. */
class Call {
  constructor(room) {
    this.room = room;
    this.name = cleanName(query.get('name') ?? rememberedName());
    this.media = new Media({ audio: !refused('audio'), video: !refused('video') }, { processing: !refused('processing') });
    this.signaling = null;
    this.mesh = null;
    /** The passphrase, or null. The server is never told. */
    this.secret = hidden.get('e2ee');
    this.phase = 'lobby';
    this.problem = '';
    this.tiles = new ui.Tiles({
      onBlocked: () => ($('unblock').hidden = false),
      onFirstFrame: ({ peer }) => (peer.timings.firstFrameMs ??= performance.now() - peer.timings.createdAt),
    });
    this.panel = new ui.Panel((pane) => this.paneOpened(pane));
    this.unread = 0;
  }

  async start() {
    document.title = `${this.room} · rtc`;
    for (const element of document.querySelectorAll('[data-room]')) element.textContent = this.room;
    this.paintAddress();
    this.wireControls();
    // The link is made while the person still looks at the lobby.
    const ready = this.connect();
    ready.catch((error) => this.end('No connection', error.message));
    if (flag('autojoin')) {
      await this.media.open();
      await this.join(ready);
    } else {
      this.lobby(ready);
    }
  }

  /** The page of the server that we are at by now. */
  get site() {
    return this.signaling?.site ?? `${location.origin}/`;
  }

  /** Where others find this room. */
  get address() {
    return `${this.site}${encodeURIComponent(this.room)}`;
  }

  paintAddress() {
    const server = this.site === 'http://localhost:8080/' ? '' : ` --server ${this.site}`;
    $('waiting-link').textContent = this.address;
    const e2ee = this.secret === null ? '' : ' --e2ee PASSPHRASE';
    $('waiting-command').textContent = `rtc-client join ${this.room}${server}${e2ee}`;
  }

  /** The same page again, at the server that we were sent to last. */
  again() {
    if (this.signaling?.moved) location.assign(`${this.address}${location.search}${location.hash}`);
    else location.reload();
  }

  async connect() {
    const session = await loadSession();
    const url = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`;
    this.signaling = new Signaling({ url, session, name: this.name || undefined, auth: token, agent: 'rtc-page' });
    this.mesh = new Mesh({ signaling: this.signaling, media: this.media, codec: query.get('codec'), relayOnly: flag('relay') });
    this.wireMesh();
    this.signaling.addEventListener('barred', ({ detail }) => this.end('Not let in', detail.message));
    return this.signaling.connect();
  }

  lobby(ready) {
    ui.show('lobby');
    $('lobby-name').value = this.name;
    $('lobby-secret').value = this.secret ?? '';
    $('lobby-secret').oninput = () => ($('lobby-secret-error').textContent = '');
    $('lobby-form').onsubmit = (event) => {
      event.preventDefault();
      this.secret = $('lobby-secret').value || null;
      const fault = protectionFault(this.secret);
      $('lobby-secret-error').textContent = fault;
      if (fault) return;
      this.name = cleanName($('lobby-name').value);
      remember(this.name);
      $('lobby-join').disabled = true;
      this.join(ready);
    };
    this.media.open();
    $('lobby-join').focus();
  }

  async join(ready) {
    const fault = protectionFault(this.secret);
    if (fault) {
      this.end('Could not join', fault);
      return;
    }
    this.show();
    try {
      const welcome = await ready;
      if (this.secret !== null) await this.protect();
      await this.mesh.join(this.room, this.name, welcome.resumed);
      this.phase = 'joined';
    } catch (error) {
      const title = error.code === 'room-full' ? 'The room is full' : 'Could not join';
      this.end(title, error.message);
    }
  }

  async protect() {
    const protection = new Protection();
    this.mesh.protect(protection);
    this.tiles.encrypting = true;
    $('sealed-state').hidden = false;
    this.paintAddress();
    await protection.begin(this.secret, this.room);
  }

  show() {
    this.phase = 'joining';
    this.stopLevel?.();
    this.stopLevel = null;
    ui.show('call');
    $('call-name').value = this.name;
    this.paintLink();
    this.paint();
    clearInterval(this.statsTimer);
    this.statsTimer = setInterval(() => this.pollStats(), STATS_MS);
  }

  end(title, text) {
    if (this.phase === 'ended') return;
    this.phase = 'ended';
    clearInterval(this.statsTimer);
    this.mesh?.leave().finally(() => {
      this.signaling.close();
      this.mesh.protection?.close();
    });
    this.media.close();
    $('ended-title').textContent = title;
    $('ended-text').textContent = text;
    ui.show('ended');
    $('ended-title').focus();
  }

  wireControls() {
    for (const button of document.querySelectorAll('[data-toggle]')) {
      button.onclick = () => this.toggle(button.dataset.toggle);
    }
    document.addEventListener('keydown', (event) => {
      if (event.target.closest('input, select, textarea') || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === 'm') this.toggle('audio');
      if (event.key === 'v') this.toggle('video');
    });
    this.media.addEventListener('change', () => this.mediaChanged());
    this.media.addEventListener('devices', () => this.paintDevices());
    $('leave').onclick = () => this.end('You left', `The call in ${this.room} goes on without you.`);
    $('rejoin').onclick = () => this.again();
    $('copy-link').onclick = () => this.copyLink();
    $('unblock').onclick = () => {
      this.tiles.unblock();
      $('unblock').hidden = true;
    };
    $('call-name').onchange = () => remember(cleanName($('call-name').value));
    $('chat-form').onsubmit = (event) => {
      event.preventDefault();
      const text = $('chat-text').value;
      if (!text.trim()) return;
      if (this.mesh.say(text.trim())) $('chat-text').value = '';
      else ui.toast('Nobody is here to read that yet.');
    };
    addEventListener('pagehide', () => this.phase !== 'ended' && this.mesh?.room && this.signaling.leaveNow(this.mesh.room));
    addEventListener('pageshow', (event) => event.persisted && location.reload());
    this.mediaChanged();
  }

  wireMesh() {
    const { mesh, signaling } = this;
    mesh.addEventListener('members', () => this.paint());
    mesh.addEventListener('member', (event) => {
      this.tiles.paint(event.detail);
      this.paintPeople();
    });
    mesh.addEventListener('arrived', (event) => ui.toast(`${event.detail.name} joined`));
    mesh.addEventListener('left', ({ detail: { member, reason } }) => {
      ui.toast(`${member.name} ${{ lost: 'lost the connection', kicked: 'was removed' }[reason] ?? 'left'}`);
    });
    mesh.addEventListener('held', ({ detail: { kind, by, held } }) => {
      const device = DEVICE[kind];
      if (held) this.media.set(kind, false);
      ui.toast(held ? `${by} turned your ${device} off` : `${by} lets you turn your ${device} on again`);
    });
    mesh.addEventListener('broadcast', ({ detail }) => {
      const text = typeof detail === 'string' ? detail : detail?.text ?? JSON.stringify(detail);
      ui.toast(`The administrator says: ${String(text).slice(0, 240)}`);
    });
    mesh.addEventListener('later', () => ui.toast('The server cannot tell yet whether there is a place in the room. It is asked again.'));
    mesh.addEventListener('ended', (event) => this.end('The call is over for you', event.detail.reason));
    mesh.chat.addEventListener('line', (event) => this.chatLine(event.detail));
    signaling.addEventListener('state', (event) => {
      if (event.detail === 'open') this.paintAddress();
      if (event.detail === 'taken') this.end('Opened somewhere else', 'This call went on in another tab.');
      this.paintLink();
    });
  }

  async toggle(kind) {
    if (this.mesh?.held.has(kind) && !this.media.on(kind)) {
      ui.toast(`A moderator turned your ${DEVICE[kind]} off; only a moderator can allow it again.`);
      return;
    }
    await this.media.set(kind, !this.media.on(kind));
    if (this.media.problems[kind]) ui.toast(this.media.problems[kind]);
  }

  mediaChanged() {
    const { media } = this;
    for (const kind of ['audio', 'video']) {
      ui.paintToggle(kind, { on: media.on(kind), problem: media.wanted[kind] ? media.problems[kind] : null });
    }
    const problems = Object.values(media.problems).filter(Boolean);
    $('call-problem').textContent = problems.join(' ');
    $('lobby-problem').textContent = problems.length ? `${problems.join(' ')} You can join without.` : '';
    const preview = media.on('video') ? media.stream : null;
    if (this.phase === 'lobby') {
      if ($('lobby-video').srcObject !== preview) $('lobby-video').srcObject = preview;
      $('lobby-off').hidden = Boolean(preview);
      this.stopLevel?.();
      this.stopLevel = media.on('audio') ? watchLevel(media.tracks.audio, (level) => ($('lobby-level').value = level)) : null;
    } else {
      $('lobby-video').srcObject = null;
    }
    this.paintDevices();
    this.paint();
  }

  async paintDevices() {
    const devices = await this.media.devices();
    ui.paintDevices(devices, (kind) => this.media.chosen(kind), async (kind, id) => {
      await this.media.choose(kind, id);
      if (kind === 'speaker') await this.tiles.speaker(id).catch((error) => ui.toast(error.message));
    });
  }

  paint() {
    if (!this.mesh) return;
    const members = [...this.mesh.members.values()];
    this.tiles.sync(members);
    this.paintSelf();
    this.paintPeople();
  }

  paintSelf() {
    const { media, mesh } = this;
    ui.paintSelf({
      name: this.name,
      id: mesh.me,
      stream: media.stream,
      audio: media.on('audio'),
      video: media.on('video'),
      alone: mesh.members.size === 0,
    });
  }

  paintPeople() {
    const { media, mesh } = this;
    const own = new Set(['audio', 'video'].filter((kind) => !media.on(kind)));
    const note = (role, state) => [role === 'moderator' ? 'moderator' : '', state === 'connected' ? '' : state].filter(Boolean).join(', ');
    const me = { id: mesh.me, name: this.name || 'Guest', own: true, note: ['you', note(mesh.role, 'connected')].filter(Boolean).join(', '), muted: own };
    const others = [...mesh.members.values()].map((member) => ({ ...member, note: note(member.role, member.peer.state) }));
    ui.paintPeople(me, others, {
      moderator: mesh.role === 'moderator',
      onMute: (person) => mesh.silence(person.id, 'audio').catch((error) => ui.toast(error.message)),
      onKick: (person) => mesh.remove(person.id).catch((error) => ui.toast(error.message)),
    });
  }

  paintLink() {
    const state = this.signaling?.state ?? 'connecting';
    const pill = $('link-state');
    pill.dataset.state = state;
    pill.textContent = { open: 'Online', connecting: 'Connecting…', lost: 'Reconnecting…' }[state] ?? 'Offline';
  }

  chatLine(entry) {
    const name = this.mesh.members.get(entry.from)?.name ?? 'Guest';
    ui.addChatLine({ ...entry, name });
    if (entry.own || this.panel.open === 'chat') return;
    this.unread += 1;
    $('unread').textContent = Math.min(this.unread, 99);
    $('unread').hidden = false;
    ui.toast(`${name}: ${entry.text.slice(0, 120)}`);
  }

  paneOpened(pane) {
    if (pane === 'chat') {
      this.unread = 0;
      $('unread').hidden = true;
      $('chat-log').scrollTop = $('chat-log').scrollHeight;
    }
    if (pane === 'quality') this.paintQuality();
  }

  async pollStats() {
    for (const { id, peer } of this.mesh?.members.values() ?? []) {
      if (peer.state !== 'connected') continue;
      const figures = await peer.stats.poll().catch(() => null);
      if (figures) this.tiles.quality(id, figures);
    }
    if (this.panel.open === 'quality') this.paintQuality();
  }

  paintQuality() {
    ui.paintQuality([...this.mesh.members.values()].map(({ name, peer }) => ({ name, figures: peer.stats.latest })));
  }

  async copyLink() {
    try {
      await navigator.clipboard.writeText(this.address);
      ui.toast('Link copied');
    } catch {
      ui.toast(this.address);
    }
  }
}

/** What programs and tests may look at; nothing here changes anything. */
function handle(call) {
  const member = ({ id, name, role, muted, peer }) => ({
    id,
    name,
    role,
    muted: [...muted],
    state: peer.state,
    polite: peer.polite,
    encrypted: peer.encrypted,
    locked: [...peer.locked],
    timings: { ...peer.timings },
    figures: peer.stats.latest,
  });
  const members = () => [...(call?.mesh?.members.values() ?? [])];
  return Object.freeze({
    version: 1,
    get room() { return call?.mesh?.room ?? null; },
    get me() { return call?.mesh?.me ?? null; },
    get role() { return call?.mesh?.role ?? null; },
    get phase() { return call?.phase ?? 'start'; },
    get server() { return call?.site ?? null; },
    get encrypting() { return Boolean(call?.mesh?.protection); },
    get link() { return call?.signaling?.state ?? 'closed'; },
    get sending() { return { audio: call?.media.on('audio') ?? false, video: call?.media.on('video') ?? false }; },
    get peers() { return members().map(member); },
    get chat() { return [...(call?.mesh?.chat.lines ?? [])]; },
    stream: (id) => members().find((m) => m.id === id)?.peer.stream ?? null,
    video: (id) => call?.tiles.video(id) ?? null,
    /** The raw RTCStatsReport of a peer, as an object. */
    stats: async (id) => Object.fromEntries((await members().find((m) => m.id === id)?.peer.pc.getStats()) ?? []),
  });
}

const room = roomFromAddress();
const fault = room === '' ? '' : roomFault(room);
const call = room === '' || fault ? null : new Call(room);
globalThis.rtc = handle(call);
if (call) call.start();
else startPage(fault);
