// Where encoded frames are sealed and opened (W3C webrtc-encoded-transform): beside the page, so that its work delays no frame.

import { codecOfKey, Opener, Sealer } from './sframe.js';

/** So many frames in a row that cannot be decrypted are no accident. */
const FRAMES = 10;

/** The page's key; frames wait for it, and it comes first. */
let arrived;
const base = new Promise((resolve) => (arrived = resolve));
/** One sealer for each kind: a key id of its own, and no number twice. */
const sealers = new Map();
/** One opener for each far peer. */
const openers = new Map();

onmessage = ({ data }) => {
  if (data.base) arrived(data.base);
  if (data.forget) openers.delete(data.forget);
};

onrtctransform = ({ transformer }) => {
  const { side, kind, peer } = transformer.options;
  const transform = side === 'send' ? sealing(kind) : opening(kind, peer);
  transformer.readable
    .pipeThrough(new TransformStream({ transform }))
    .pipeTo(transformer.writable)
    .catch(() => {}); // the connection is closed
};

function sealing(kind) {
  const mediumOf = media(kind);
  return async (frame, controller) => {
    const key = await base;
    if (!sealers.has(kind)) sealers.set(kind, new Sealer(key));
    const bytes = new Uint8Array(frame.data);
    const medium = mediumOf(frame, bytes);
    const sealed = medium && (await sealers.get(kind).seal(medium, bytes));
    // Nothing goes out in clear.
    if (!sealed) return;
    frame.data = sealed.buffer;
    controller.enqueue(frame);
  };
}

function opening(kind, peer) {
  const mediumOf = media(kind);
  let failed = 0;
  let told = null;
  // Where frames are decrypted: all of them since a key frame were.
  let whole = kind === 'audio';
  const tell = (open) => {
    if (told === open) return;
    told = open;
    postMessage({ peer, kind, open });
  };
  return async (frame, controller) => {
    const key = await base;
    if (!openers.has(peer)) openers.set(peer, new Opener(key));
    const bytes = new Uint8Array(frame.data);
    const medium = mediumOf(frame, bytes);
    const opened = medium && (await openers.get(peer).open(medium, bytes));
    if (!opened) {
      failed += 1;
      if (kind === 'video') whole = false;
      if (failed === FRAMES) tell(false);
      return;
    }
    failed = 0;
    tell(true);
    if (frame.type === 'key') whole = true;
    if (!whole) return;
    frame.data = opened.buffer;
    controller.enqueue(frame);
  };
}

/** Tells what each frame of a stream is; null where there is no rule for it. */
function media(kind) {
  let latest = null;
  return (frame, bytes) => {
    const told = frame.getMetadata().mimeType?.split('/')[1]?.toLowerCase();
    if (kind === 'audio') return told === undefined || told === 'opus' ? 'opus' : null;
    if (told !== undefined) return ['vp8', 'vp9'].includes(told) ? told : null;
    // Not every browser tells the codec; the beginning of a key frame does, before it is sealed and after.
    if (frame.type === 'key') latest = codecOfKey(bytes);
    return latest;
  };
}
