// The rtc.v1 client: one WebSocket that comes back by itself.
//
// Every message we send carries an id and is kept until its answer came, so that
// nothing is lost when the socket breaks inside the server's resume window.

const SUBPROTOCOL = 'rtc.v1';
const FIRST_DELAY_MS = 200;
const LONGEST_DELAY_MS = 10_000;
/** A link that held this long was a good one. A server that drains lets in as well, and sends away at once. */
const HELD_MS = 5_000;
const MAX_PENDING = 512;
const TAKEN_OVER = 4001;
const NOT_AUTHORIZED = 4006;
/** We close one socket to open another: unlike 1000 and 1001 it does not mean that we left. */
const COMING_BACK = 4000;
/** How often nobody may let us in at one place before we try the other: where we were sent, where we came from. */
const MISSES = 3;
const STORE_KEY = 'rtc.session';
const SOCKETS = { 'http:': 'ws:', 'https:': 'wss:', 'ws:': 'ws:', 'wss:': 'wss:' };

/** What the server answered with `error`, or what became of a request without answer. */
export class SignalingError extends Error {
  constructor(code, message) {
    super(message);
    this.name = 'SignalingError';
    this.code = code;
  }
}

/** How long to wait before attempt `attempt` (from 0): doubling, capped, between half and all of it at random. */
export function backoff(attempt, random = Math.random()) {
  const whole = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(attempt, 16));
  return whole / 2 + (whole / 2) * random;
}

/**
 * The WebSocket of the server that `url` names; null where that is no server, or where the way there is less safe
 * than the one to `from`: our secrets are said there, too.
 */
export function socketAt(url, from) {
  let there;
  try {
    there = new URL(url);
  } catch {
    return null;
  }
  const scheme = SOCKETS[there.protocol];
  if (!scheme || there.username || there.password) return null;
  if (scheme === 'ws:' && from.startsWith('wss:')) return null;
  const path = there.pathname.replace(/\/+$/, '').replace(/\/ws$/, '');
  return `${scheme}//${there.host}${path}/ws`;
}

/** A secret of 43 base64url characters; our peer id is derived from it by the server. */
export function newToken() {
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

/**
 * The session that this tab may resume: kept over a reload, not shared with a duplicated tab.
 *
 * Browsers copy sessionStorage into a duplicated tab; the lock, which lives as long
 * as the page, tells the copy from the original.
 */
export async function loadSession() {
  let saved = null;
  try {
    saved = JSON.parse(sessionStorage.getItem(STORE_KEY));
  } catch {
    // Storage is forbidden or holds something else: a new session then.
  }
  if (saved && typeof saved.token === 'string' && (await claim(saved.token))) {
    return { token: saved.token, lastSeq: Number(saved.lastSeq) || 0 };
  }
  // Without a number there is nothing to fetch: no server is asked for what nobody has.
  const token = newToken();
  await claim(token);
  return { token };
}

function claim(token) {
  if (!navigator.locks) return Promise.resolve(true);
  return new Promise((resolve) => {
    navigator.locks
      .request(`${STORE_KEY}.${token}`, { ifAvailable: true }, (lock) => {
        resolve(lock !== null);
        return lock && new Promise(() => {}); // held until the page is gone
      })
      .catch(() => resolve(true));
  });
}

/**
 * Events: `state` (detail: connecting | open | lost | taken | closed),
 * `welcome` (detail: the message), `message` (detail: any other server message).
 */
export class Signaling extends EventTarget {
  #socket = null;
  #session;
  #hello;
  #refusal = null;
  #pending = new Map();
  #nextId = 1;
  #attempt = 0;
  #retryTimer = 0;
  #beatTimer = 0;
  #heardAt = 0;
  /** When this link's welcome came; null where none did. */
  #welcomedAt = null;
  /** Where we came from, where we were sent from there, and where we are or look now. */
  #home;
  #away = null;
  #url;
  #live = false;

  state = 'closed';
  welcome = null;
  rttMs = null;

  constructor({ url, session, name, auth, agent }) {
    super();
    this.#home = url;
    this.#url = url;
    this.#session = session;
    this.#hello = { name, auth, agent };
    addEventListener('online', () => this.#hurry());
    document.addEventListener('visibilitychange', () => document.hidden || this.#hurry());
    addEventListener('pagehide', () => this.#save());
  }

  set name(name) {
    this.#hello.name = name;
  }

  /** The page of the server that we are at, or look for. */
  get site() {
    return this.#url.replace(/^ws/, 'http').replace(/ws$/, '');
  }

  /** Whether a server sent us to another one. */
  get moved() {
    return this.#url !== this.#home;
  }

  /** Starts connecting; resolves with the first welcome, and rejects where the server lets us in on no try. */
  connect() {
    this.#live = true;
    const welcomed = new Promise((resolve, reject) => {
      this.addEventListener('welcome', (e) => resolve(e.detail), { once: true });
      this.addEventListener('barred', (e) => reject(e.detail), { once: true });
    });
    this.#open();
    return welcomed;
  }

  /** Ends the session for good. */
  close() {
    this.#live = false;
    clearTimeout(this.#retryTimer);
    clearInterval(this.#beatTimer);
    this.#failPending('closed', 'The connection was closed.');
    this.#socket?.close(1000);
    this.#socket = null;
    this.#setState('closed');
  }

  /** Sends `message` and resolves with its answer; rejects with a SignalingError. */
  request(message) {
    if (this.#pending.size >= MAX_PENDING) {
      return Promise.reject(new SignalingError('busy', 'Too many messages wait for the server.'));
    }
    const id = this.#nextId++;
    const text = JSON.stringify({ ...message, id });
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { text, resolve, reject });
      if (this.state === 'open') this.#socket.send(text);
    });
  }

  /** Says goodbye to `room` while the page goes away: no time for an answer. */
  leaveNow(room) {
    if (this.state === 'open') this.#socket.send(JSON.stringify({ type: 'leave', room }));
    this.close();
  }

  #open() {
    const { url, misses } = this.#away ?? { url: this.#home, misses: 0 };
    this.#url = Math.floor(misses / MISSES) % 2 === 1 ? this.#home : url;
    this.#setState('connecting');
    const socket = new WebSocket(this.#url, SUBPROTOCOL);
    this.#socket = socket;
    const mine = (f) => (event) => this.#socket === socket && f(event);
    socket.onopen = mine(() => {
      const { token, lastSeq } = this.#session;
      socket.send(JSON.stringify({ type: 'hello', resume: token, lastSeq, ...this.#hello }));
    });
    socket.onmessage = mine((event) => {
      this.#heardAt = performance.now();
      let message;
      try {
        message = JSON.parse(event.data);
      } catch {
        return console.warn('rtc: the server sent something that is not JSON');
      }
      this.#receive(message);
    });
    socket.onclose = mine((event) => this.#lost(event.code));
  }

  #receive(message) {
    switch (message.type) {
      case 'welcome':
        return this.#welcomed(message);
      case 'ping':
        return this.#socket.send(JSON.stringify({ type: 'pong', t: message.t }));
      case 'pong':
        this.rttMs = Math.max(0, performance.now() - message.t);
        return undefined;
      case 'go-away':
        return this.#goAway(message);
      default:
    }
    if (Number.isInteger(message.seq)) {
      if (message.seq <= this.#session.lastSeq) return undefined;
      this.#session.lastSeq = message.seq;
    }
    const waiting = this.#pending.get(message.id);
    if (waiting) {
      this.#pending.delete(message.id);
      if (message.type === 'error') waiting.reject(new SignalingError(message.code, message.message));
      else waiting.resolve(message);
    } else if (message.type === 'error') {
      console.warn(`rtc: the server refused something: ${message.code}: ${message.message}`);
      this.#refusal = message;
      this.dispatchEvent(new CustomEvent('refused', { detail: message }));
    } else if (message.type !== 'ack') {
      this.dispatchEvent(new CustomEvent('message', { detail: message }));
    }
    return undefined;
  }

  #welcomed(message) {
    this.welcome = message;
    this.#welcomedAt = performance.now();
    if (!this.moved) this.#away = null;
    else if (this.#away) this.#away.misses = 0;
    if (typeof message.resume === 'string') this.#session.token = message.resume;
    if (!message.resumed) {
      this.#session.lastSeq = 0;
      this.#failPending('session-lost', 'The server does not know this session any more.');
    }
    this.#save();
    this.#startBeat(message.heartbeatMs);
    this.#setState('open');
    for (const { text } of this.#pending.values()) this.#socket.send(text);
    this.dispatchEvent(new CustomEvent('welcome', { detail: message }));
  }

  // A silent link is as good as a broken one: we ask every beat and give up after two without a word.
  #startBeat(heartbeatMs) {
    const beat = Math.max(1000, Number(heartbeatMs) || 15_000);
    clearInterval(this.#beatTimer);
    this.#heardAt = performance.now();
    this.#beatTimer = setInterval(() => {
      if (this.state !== 'open') return;
      if (performance.now() - this.#heardAt > 2.5 * beat) return this.#lost(COMING_BACK);
      this.#socket.send(JSON.stringify({ type: 'ping', t: Math.round(performance.now()) }));
    }, beat);
  }

  #goAway(message) {
    const socket = this.#socket;
    this.#socket = null;
    socket.close(COMING_BACK);
    clearInterval(this.#beatTimer);
    const url = socketAt(message.url, this.#url);
    if (url) this.#away = { url, misses: 0 };
    else if (message.url) console.warn(`rtc: the server sends us to ${message.url}; we stay`);
    this.#retry(Number(message.reconnectMs) || 0);
  }

  #lost(code) {
    clearInterval(this.#beatTimer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(COMING_BACK);
    if (code === TAKEN_OVER) {
      this.#live = false;
      this.#failPending('taken-over', 'This session went on in another tab.');
      this.#setState('taken');
    } else if (code === NOT_AUTHORIZED && !this.moved) {
      // Another try with the same token would end the same way.
      this.#live = false;
      const { code: why, message } = this.#refusal ?? { code: 'not-authorized', message: 'The server lets nobody in without a token.' };
      this.#failPending(why, message);
      this.#setState('closed');
      this.dispatchEvent(new CustomEvent('barred', { detail: new SignalingError(why, message) }));
    } else if (this.#live) {
      if (this.#away && this.state === 'connecting') this.#away.misses += 1;
      this.#retry(0);
    }
  }

  #retry(atLeastMs) {
    if (this.#welcomedAt !== null && performance.now() - this.#welcomedAt >= HELD_MS) this.#attempt = 0;
    this.#welcomedAt = null;
    this.#setState('lost');
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(() => this.#open(), atLeastMs + backoff(this.#attempt++));
  }

  // The network or the user is back: no reason to sit out a long wait.
  #hurry() {
    if (this.state !== 'lost') return;
    clearTimeout(this.#retryTimer);
    this.#attempt = 0;
    this.#open();
  }

  #failPending(code, text) {
    const waiting = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of waiting) reject(new SignalingError(code, text));
  }

  #setState(state) {
    if (this.state === state) return;
    this.state = state;
    this.dispatchEvent(new CustomEvent('state', { detail: state }));
  }

  #save() {
    try {
      sessionStorage.setItem(STORE_KEY, JSON.stringify(this.#session));
    } catch {
      // Without storage a reload is a new peer, nothing worse.
    }
  }
}
