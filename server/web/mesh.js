// Who is in the room, and one connection to each of them.

import { Peer } from './peer.js';
import { ChatLog } from './chat.js';

/** How long a connected member that the server does not list may take to join again. */
const AWAY_MS = 30_000;
/** A server that cannot tell whether there is a place is asked again after so long; who was never in, for so long in all. */
const LATER_MS = 1_000;
const ENTER_MS = 30_000;
/** Members that offer once, to one of the room, and take no offer. */
const BY_HTTP = new Set(['whip', 'whep']);

/**
 * Events: `members` (the list or something in it changed), `member` (detail: one member whose connection,
 * track or mute changed), `left` (detail: `{member, reason}`), `arrived` (detail: member), `held` (detail:
 * `{kind, by, held}`: a moderator muted ours, or lifted it), `broadcast` (detail: any JSON, from the server's
 * administrator), `later` (the server has to be asked again for a place), `ended` (detail: `{reason, by}`).
 */
export class Mesh extends EventTarget {
  room = null;
  me = null;
  role = 'member';
  joinedAt = null;
  members = new Map();
  /** What a moderator has muted: it is not sent until a moderator lifts it. */
  held = new Set();
  chat = new ChatLog();
  /** What encrypts end to end, if anything does. */
  protection = null;
  #signaling;
  #media;
  #codec;
  #relayOnly;
  #name = '';
  #entering = false;
  /** We have left. */
  #over = false;
  /** What the server was told that we send; a newcomer counts as sending both. */
  #told = { audio: true, video: true };

  constructor({ signaling, media, codec, relayOnly = false }) {
    super();
    this.#signaling = signaling;
    this.#media = media;
    this.#codec = codec;
    this.#relayOnly = relayOnly;
    signaling.addEventListener('message', (event) => this.#receive(event.detail));
    signaling.addEventListener('welcome', (event) => this.#welcomed(event.detail));
    media.addEventListener('change', (event) => this.#mediaChanged(event.detail));
  }

  /** Encrypts end to end from now on; before anybody is met. */
  protect(protection) {
    this.protection = protection;
    protection.addEventListener('stream', ({ detail: { peer, kind, open } }) => this.members.get(peer)?.peer.unlocked(kind, open));
  }

  /** Enters `room`; `afresh` when an earlier life of this page may still be in it. */
  async join(room, name, afresh) {
    this.#name = name;
    if (afresh) await this.#signaling.request({ type: 'leave', room }).catch(() => {});
    await this.#enter(room);
  }

  /** Leaves for good. */
  async leave() {
    const room = this.room;
    this.#over = true;
    this.#clear();
    if (room) await this.#signaling.request({ type: 'leave', room }).catch(() => {});
  }

  /** Sends `text` to everybody; false when nobody could be reached. */
  say(text) {
    const reached = [...this.members.values()].filter(({ peer }) => peer.say(text)).length;
    if (reached > 0) this.chat.add(this.me, text, true);
    return reached > 0;
  }

  /** As moderator: silences `kind` of another. The server tells the others; what it did for us is in its answer. */
  async silence(id, kind) {
    await this.#signaling.request({ type: 'mute', room: this.room, peer: id, kind });
    const member = this.members.get(id);
    if (member) this.#muted(member, { type: 'muted', peer: id, kind, by: this.me });
  }

  /** As moderator: removes another. */
  async remove(id) {
    await this.#signaling.request({ type: 'kick', room: this.room, peer: id });
    const member = this.members.get(id);
    if (member) this.#drop(member, 'kicked');
  }

  // The link may break before the answer, and the server may have forgotten us then: ask again. Servers that are one may not
  // be able to tell for a while whether there is a place; who was in has a call that goes on meanwhile.
  async #enter(room) {
    const message = { type: 'join', room, ...(this.#name && { name: this.#name }) };
    const until = this.room === null ? performance.now() + ENTER_MS : Infinity;
    this.#entering = true;
    try {
      for (let told = false; ; ) {
        try {
          return this.#joined(await this.#signaling.request(message));
        } catch (error) {
          const later = error.code === 'try-later' && performance.now() < until && !this.#over;
          if (error.code !== 'session-lost' && !later) throw error;
          if (!later) continue;
          if (!told) this.#tell('later');
          told = true;
          await new Promise((resolve) => setTimeout(resolve, LATER_MS));
          if (this.#over) throw error;
        }
      }
    } finally {
      this.#entering = false;
    }
  }

  // The server forgot us (it is another one now, or we were away too long): join again, keep what is connected.
  async #welcomed(welcome) {
    this.me = welcome.peer;
    if (!this.room || welcome.resumed || this.#entering) return;
    try {
      await this.#enter(this.room);
    } catch (error) {
      this.#clear();
      this.#tell('ended', { reason: error.message });
    }
  }

  #joined({ room, peer, role, members }) {
    this.room = room;
    this.me = peer;
    this.role = role;
    this.joinedAt = performance.now();
    const listed = new Set(members.map((member) => member.peer));
    for (const member of this.members.values()) if (!listed.has(member.id)) this.#away(member);
    for (const info of members) this.#meet(info, true);
    this.#told = { audio: true, video: true };
    this.held.clear(); // a room that remembers says so next
    for (const kind of ['audio', 'video']) this.#tellMute(kind);
    this.#tell('members');
  }

  // The newcomer is polite and makes the offer; a member that the server translates for offers by itself or asks.
  #meet(info, newcomer) {
    const offers = newcomer && !info.dialect;
    const polite = newcomer || Boolean(info.dialect);
    const known = this.members.get(info.peer);
    if (known) {
      clearTimeout(known.awayTimer);
      known.name = info.name;
      known.role = info.role;
      known.muted = new Set(info.muted ?? []);
      known.peer.polite = polite;
      if (known.peer.state === 'connected') known.peer.repeat();
      else if (offers) known.peer.rebuild();
      return known;
    }
    const member = { id: info.peer, name: info.name || 'Guest', role: info.role, muted: new Set(info.muted ?? []), awayTimer: 0 };
    member.byHttp = BY_HTTP.has(info.dialect);
    member.peer = this.#connect(member, polite, offers);
    this.members.set(member.id, member);
    return member;
  }

  #connect(member, polite, offers) {
    const peer = new Peer({
      id: member.id,
      polite,
      offers,
      answersOnly: member.byHttp,
      media: this.#media,
      codec: this.#codec,
      protection: this.protection,
      config: {
        iceServers: this.#signaling.welcome.iceServers ?? [],
        iceTransportPolicy: this.#relayOnly ? 'relay' : 'all',
        bundlePolicy: 'max-bundle',
      },
      send: (signal) =>
        this.#signaling
          .request({ type: 'signal', room: this.room, to: member.id, signal })
          .catch((error) => console.warn(`rtc: signal to ${member.id}: ${error.message}`)),
    });
    peer.addEventListener('state', () => {
      if (member.awayTimer && peer.state !== 'connected') this.#drop(member, 'lost');
      else this.#tell('member', member);
    });
    peer.addEventListener('lost', () => {
      // HTTP tells the server nothing of a publisher or player that has vanished: its partner does.
      const lost = { type: 'message', room: this.room, to: member.id, data: { connection: 'lost' } };
      this.#signaling.request(lost).catch((error) => console.warn(`rtc: ${member.id}: ${error.message}`));
      this.#drop(member, 'lost');
    });
    peer.addEventListener('track', () => this.#tell('member', member));
    peer.addEventListener('chat', (event) => this.chat.add(member.id, event.detail));
    peer.addEventListener('chat-open', () => this.#tell('members'));
    return peer;
  }

  #receive(message) {
    if (message.type === 'accepted' || message.type === 'refused' || message.type === 'hung-up') return;
    if (message.type === 'ring') {
      this.#signaling.request({ type: 'refuse', call: message.call, reason: 'busy' }).catch(() => {});
      return;
    }
    if (message.type === 'broadcast') {
      this.#tell('broadcast', message.data);
      return;
    }
    if (!this.room || message.room !== this.room) return;
    const member = this.members.get(message.peer ?? message.from);
    switch (message.type) {
      case 'peer-joined': {
        const arrived = this.#meet(message.member, false);
        this.#tell('members');
        this.#tell('arrived', arrived);
        break;
      }
      case 'peer-left':
        if (member) this.#drop(member, message.reason);
        break;
      case 'signal':
        member?.peer.signal(message.signal);
        break;
      case 'muted':
      case 'unmuted':
        this.#muted(member, message);
        break;
      case 'granted':
        if (message.right === 'moderator' || message.right === 'moderate') {
          if (message.peer === this.me) this.role = 'moderator';
          else if (member) member.role = 'moderator';
        }
        this.#tell('members');
        break;
      case 'kicked':
        this.#clear();
        this.#tell('ended', { reason: message.reason || 'You were removed from the room.', by: message.by });
        break;
      default:
    }
  }

  #muted(member, { type, peer, kind, by }) {
    if (peer === this.me) {
      // The server does not echo what we told: this is a moderator's word, or our token's.
      const held = type === 'muted';
      if (held) this.held.add(kind);
      else this.held.delete(kind);
      this.#told[kind] = !held;
      this.#tell('held', { kind, by: this.members.get(by)?.name ?? 'The moderator', held });
      if (!held) this.#tellMute(kind); // what we turned off ourselves stays off
    } else if (member) {
      if (type === 'muted') member.muted.add(kind);
      else member.muted.delete(kind);
      this.#tell('member', member);
    }
  }

  #mediaChanged(kind) {
    // Whatever turned it on (a device that came back, a script): what is held is not sent.
    if (this.held.has(kind) && this.#media.on(kind)) {
      this.#media.set(kind, false);
      return;
    }
    for (const { peer } of this.members.values()) {
      peer.updateTrack(kind).catch((error) => console.warn(`rtc: ${kind} to ${peer.id}: ${error.message}`));
    }
    if (this.room) this.#tellMute(kind);
  }

  #tellMute(kind) {
    const on = this.#media.on(kind);
    if (this.#told[kind] === on) return;
    this.#told[kind] = on;
    const type = on ? 'unmute' : 'mute';
    this.#signaling
      .request({ type, room: this.room, peer: this.me, kind })
      .catch((error) => console.warn(`rtc: ${type}: ${error.message}`));
  }

  #away(member) {
    if (member.peer.state !== 'connected') return this.#drop(member, 'lost');
    clearTimeout(member.awayTimer);
    member.awayTimer = setTimeout(() => this.#drop(member, 'lost'), AWAY_MS);
    return undefined;
  }

  #drop(member, reason) {
    if (!this.members.delete(member.id)) return;
    clearTimeout(member.awayTimer);
    member.awayTimer = 0;
    member.peer.close();
    this.protection?.forget(member.id);
    this.#tell('members');
    this.#tell('left', { member, reason });
  }

  #clear() {
    this.room = null;
    for (const member of this.members.values()) {
      clearTimeout(member.awayTimer);
      member.awayTimer = 0;
      member.peer.close();
    }
    this.members.clear();
    this.#tell('members');
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
