// SFrame (RFC 9605), cipher suite AES_256_GCM_SHA512_128, over WebCrypto: keys, headers, sealing, opening.
// The client has the same in client/src/e2ee; docs/e2ee.md describes both.

const SUITE = 5;
const TAG_BYTES = 16;
const ROUNDS = 600_000;
const SALT_PREFIX = 'rtc-client SFrame 1\0';
const RAW_KEY = /^key:((?:[0-9a-f]{32}){1,2})$/i;
/** Key ids of one far peer that are remembered, and how far behind the newest number a frame may come. */
const KEYS = 8;
const WINDOW = 1024;

const utf8 = (text) => new TextEncoder().encode(text);

function join(...parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** `value`, a BigInt, in `size` bytes, the highest first. */
function bytesOf(value, size) {
  return Uint8Array.from({ length: size }, (_, at) => Number((value >> BigInt(8 * (size - 1 - at))) & 0xffn));
}

function numberOf(bytes) {
  return bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

/** What is wrong with a passphrase or key; empty when nothing is. */
export function secretFault(text) {
  if (text === '') return 'An empty passphrase protects nothing.';
  if (text.startsWith('key:') && !RAW_KEY.test(text)) return 'A raw key is “key:” and 32 or 64 hexadecimal digits.';
  return '';
}

/** The key of `room` from what everybody in it knows, as an HKDF key that no script can read. */
export async function roomKey(secret, room) {
  const raw = RAW_KEY.exec(secret);
  const base = raw ? Uint8Array.from(raw[1].match(/../g), (pair) => Number.parseInt(pair, 16)) : await slowly(secret, room);
  return baseKey(base);
}

async function slowly(passphrase, room) {
  const typed = await crypto.subtle.importKey('raw', utf8(passphrase), 'PBKDF2', false, ['deriveBits']);
  const salt = utf8(SALT_PREFIX + room);
  return new Uint8Array(await crypto.subtle.deriveBits({ name: 'PBKDF2', hash: 'SHA-256', salt, iterations: ROUNDS }, typed, 256));
}

/** The `base_key` of RFC 9605. */
export function baseKey(bytes) {
  return crypto.subtle.importKey('raw', bytes, 'HKDF', false, ['deriveBits']);
}

/** Key and salt of one key id (RFC 9605, 4.4.2). */
async function derive(base, id) {
  const expand = (label, bytes) => {
    const info = join(utf8(label), bytesOf(id, 8), bytesOf(BigInt(SUITE), 2));
    return crypto.subtle.deriveBits({ name: 'HKDF', hash: 'SHA-512', salt: new Uint8Array(), info }, base, 8 * bytes);
  };
  const [key, salt] = await Promise.all([expand('SFrame 1.0 Secret key ', 32), expand('SFrame 1.0 Secret salt ', 12)]);
  return {
    key: await crypto.subtle.importKey('raw', key, 'AES-GCM', false, ['encrypt', 'decrypt']),
    salt: new Uint8Array(salt),
  };
}

const parameters = (salt, number, additionalData) => ({
  name: 'AES-GCM',
  iv: bytesOf(number, 12).map((byte, at) => byte ^ salt[at]),
  additionalData,
  tagLength: 8 * TAG_BYTES,
});

/** The header of key id and number (RFC 9605, 4.3). */
export function header(id, number) {
  const field = (value) => {
    if (value < 8n) return { nibble: Number(value), bytes: new Uint8Array() };
    const size = Math.ceil(value.toString(16).length / 2);
    return { nibble: 8 | (size - 1), bytes: bytesOf(value, size) };
  };
  const [kid, counter] = [field(id), field(number)];
  return join([(kid.nibble << 4) | counter.nibble], kid.bytes, counter.bytes);
}

/** Reads a header: `{id, number, size}`; null where there is none. */
export function readHeader(bytes) {
  if (bytes.length === 0) return null;
  let size = 1;
  const field = (nibble) => {
    if (nibble < 8) return BigInt(nibble);
    const from = size;
    size += (nibble & 7) + 1;
    return numberOf(bytes.subarray(from, size));
  };
  const [id, number] = [field(bytes[0] >> 4), field(bytes[0] & 15)];
  return size > bytes.length ? null : { id, number, size };
}

/** How many bytes at the beginning stay in clear, of a frame and of what sealing makes of it; null where it has no rule. */
export function clearBytes(medium, frame) {
  if (frame.length === 0) return null;
  let clear = null;
  if (medium === 'opus') clear = 1;
  else if (medium === 'vp8') clear = (frame[0] & 1) === 0 ? 10 : 3;
  else if (medium === 'vp9') clear = (frame[0] & 0xcc) === 0x80 && (frame[0] & 0x30) !== 0x30 ? 10 : 1;
  return clear !== null && frame.length >= clear ? clear : null;
}

/** The codec of a key frame, by the start code of the one and the sync code of the other; null where it is neither. */
export function codecOfKey(frame) {
  const holds = (at, ...bytes) => bytes.every((byte, index) => frame[at + index] === byte);
  if (holds(3, 0x9d, 0x01, 0x2a)) return 'vp8';
  return holds(1, 0x49, 0x83, 0x42) ? 'vp9' : null;
}

/** Encrypts the frames of one stream of ours, for any number of peers: one key id, no number twice. */
export class Sealer {
  #base;
  #id;
  #next;
  #derived = null;

  constructor(base, id = numberOf(crypto.getRandomValues(new Uint8Array(8))), first = 0n) {
    this.#base = base;
    this.#id = id;
    this.#next = first;
  }

  /** What is sent instead of `frame`; null where it cannot be encrypted and must not be sent. */
  async seal(medium, frame) {
    const clear = clearBytes(medium, frame);
    return clear === null ? null : this.sealWith(frame.subarray(0, clear), frame.subarray(clear));
  }

  async sealWith(clear, secret) {
    const number = this.#next;
    this.#next += 1n;
    const { key, salt } = await (this.#derived ??= derive(this.#base, this.#id));
    const head = header(this.#id, number);
    const sealed = await crypto.subtle.encrypt(parameters(salt, number, join(head, clear)), key, secret);
    return join(clear, head, new Uint8Array(sealed));
  }
}

/** Decrypts the frames of one far peer, over all its streams. */
export class Opener {
  #base;
  /** By key id, heard latest last: key, salt, and the numbers that were seen. */
  #known = new Map();

  constructor(base) {
    this.#base = base;
  }

  /** The frame in `sealed`; null where it is not authentic, or came before. */
  async open(medium, sealed) {
    const clear = clearBytes(medium, sealed);
    return clear === null ? null : this.openWith(sealed.subarray(0, clear), sealed.subarray(clear));
  }

  async openWith(clear, rest) {
    const head = readHeader(rest);
    if (!head || rest.length < head.size + TAG_BYTES) return null;
    const known = this.#known.get(head.id) ?? { ...(await derive(this.#base, head.id)), newest: -1n, seen: new Set() };
    if (this.#came(known, head.number)) return null;
    const additional = join(rest.subarray(0, head.size), clear);
    let opened;
    try {
      opened = await crypto.subtle.decrypt(parameters(known.salt, head.number, additional), known.key, rest.subarray(head.size));
    } catch {
      return null;
    }
    // The other stream may have met the same key id meanwhile: what it remembers counts.
    const kept = this.#known.get(head.id) ?? known;
    if (this.#came(kept, head.number)) return null;
    this.#remember(head.id, kept, head.number);
    return join(clear, new Uint8Array(opened));
  }

  #came({ newest, seen }, number) {
    return seen.has(number) || number + BigInt(WINDOW) <= newest;
  }

  // A stranger's key id is remembered only once a frame proved it.
  #remember(id, known, number) {
    known.seen.add(number);
    if (number > known.newest) known.newest = number;
    if (known.seen.size > 2 * WINDOW) {
      for (const old of known.seen) if (old + BigInt(WINDOW) <= known.newest) known.seen.delete(old);
    }
    this.#known.delete(id);
    this.#known.set(id, known);
    if (this.#known.size > KEYS) this.#known.delete(this.#known.keys().next().value);
  }
}
