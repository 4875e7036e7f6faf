// End-to-end encryption, as the page sees it: one worker, a transform behind every sender and receiver.

import { roomKey } from './sframe.js';

const MARK = 'a=x-sframe:1';
const CODECS = { audio: ['audio/opus'], video: ['video/vp8', 'video/vp9', 'video/rtx'] };

/** Whether this browser can put something of ours between encoder and network. */
export const canEncrypt = () => typeof RTCRtpScriptTransform !== 'undefined' && Boolean(globalThis.crypto?.subtle);

/** Whether a description's maker says that it encrypts. */
export const isMarked = (sdp) => String(sdp ?? '').split(/\r?\n/).includes(MARK);

/** The description with the mark of who encrypts, before its first media section. */
export const marked = (sdp) => sdp.replace(/^m=/m, `${MARK}\r\nm=`);

/** Why what a peer sends is neither shown nor played. */
export function troubleText(encrypting, encrypted) {
  if (!encrypting) return 'Encrypted end to end, and you gave no passphrase';
  return encrypted ? 'Encrypted with another passphrase' : 'Not encrypted end to end: neither shown nor played';
}

/** Events: `stream` (detail: `{peer, kind, open}`: a far stream can be decrypted, or cannot). */
export class Protection extends EventTarget {
  #worker = new Worker('/_/e2ee-worker.js', { type: 'module' });

  constructor() {
    super();
    this.#worker.onmessage = ({ data }) => this.dispatchEvent(new CustomEvent('stream', { detail: data }));
    this.#worker.onerror = (event) => console.warn(`rtc: encryption: ${event.message}`);
  }

  /** Makes the key of `room`; until then nothing goes out or comes in. */
  async begin(secret, room) {
    this.#worker.postMessage({ base: await roomKey(secret, room) });
  }

  /** Seals what a sender sends. */
  seal(sender, kind) {
    sender.transform ??= new RTCRtpScriptTransform(this.#worker, { side: 'send', kind });
  }

  /** Opens what a receiver receives of `peer`. */
  open(receiver, kind, peer) {
    receiver.transform ??= new RTCRtpScriptTransform(this.#worker, { side: 'receive', kind, peer });
  }

  /** Leaves what cannot be encrypted out of the negotiation, with the picture's codec `first` in front. */
  limit(transceiver, kind, first) {
    const name = ({ mimeType }) => mimeType.toLowerCase();
    const known = RTCRtpReceiver.getCapabilities(kind).codecs.filter((codec) => CODECS[kind].includes(name(codec)));
    const front = known.filter((codec) => name(codec) === `video/${first}`.toLowerCase());
    transceiver.setCodecPreferences([...front, ...known.filter((codec) => !front.includes(codec))]);
  }

  /** A peer is gone for good. */
  forget(peer) {
    this.#worker.postMessage({ forget: peer });
  }

  close() {
    this.#worker.terminate();
  }
}
