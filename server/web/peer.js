// One connection to one member: perfect negotiation (W3C webrtc-pc, section 10.7), trickled candidates, ICE restart.

import { ChatChannel } from './chat.js';
import { isMarked, marked } from './e2ee.js';
import { PeerStats } from './stats.js';

const KINDS = ['audio', 'video'];
/** How long ICE restarts may take before the connection is made anew. */
const RESTART_PATIENCE_MS = 8_000;

/** The session id in the `o=` line (RFC 8866, 5.2): another id is another RTCPeerConnection at the far side. */
export function sessionId(sdp) {
  return /^o=\S+ (\S+) /m.exec(sdp ?? '')?.[1] ?? null;
}

/** Which description of its maker's it is: id and version of the session, in the `o=` line. */
function version(sdp) {
  return /^o=\S+ (\S+ \S+)/m.exec(sdp ?? '')?.[1] ?? null;
}

/** The offer that an answer names, if it names one; others pass over the line (RFC 8866, 5.13). */
function answered(sdp) {
  return /^a=x-answers:(.*\S)/m.exec((sdp ?? '').split(/^m=/m, 1)[0])?.[1] ?? null;
}

/** An answer that names its offer. */
function answering(sdp, offer) {
  const named = version(offer);
  return named === null ? sdp : sdp.replace(/^m=/m, `a=x-answers:${named}\r\nm=`);
}

/** The codecs of `capabilities` with those of `name` in front; RTX and FEC stay where they were. */
export function preferCodec(codecs, name) {
  const mime = `video/${name}`.toLowerCase();
  const first = codecs.filter((codec) => codec.mimeType.toLowerCase() === mime);
  return first.length === 0 ? null : [...first, ...codecs.filter((codec) => !first.includes(codec))];
}

/**
 * Events: `state`, `track` (our `stream` got or lost a track, or can be decrypted or not), `chat` (detail: text), `chat-open`.
 *
 * The newcomer is polite and makes the first offer; the one that was there waits for it. To a member that the server
 * translates for we are polite, and offer only when it asks (`restart`). One that came by HTTP (WHIP, WHEP) takes no
 * offer at all: what finds no place in its own is not sent, and when the connection fails it is lost (event `lost`).
 */
export class Peer extends EventTarget {
  id;
  polite;
  stream = new MediaStream();
  pc = null;
  stats = null;
  /** The far side says that what it sends is encrypted end to end. */
  encrypted = false;
  /** What of it is neither shown nor played, because it cannot be decrypted. */
  locked = new Set();
  timings = { createdAt: performance.now(), connectedMs: null, firstFrameMs: null };
  #media;
  #config;
  #codec;
  #send;
  #protection;
  #chat = null;
  #answersOnly;
  #makingOffer = false;
  #ignoreOffer = false;
  #signals = Promise.resolve();
  #rescueTimer = 0;
  #closed = false;

  constructor({ id, polite, offers = polite, answersOnly = false, media, config, codec, protection = null, send }) {
    super();
    this.id = id;
    this.polite = polite;
    this.#answersOnly = answersOnly;
    this.#media = media;
    this.#config = config;
    this.#codec = codec;
    this.#send = send;
    this.#protection = protection;
    this.#build(offers);
  }

  get state() {
    return this.#closed ? 'closed' : this.pc.connectionState;
  }

  /** Handles what the far side sent, one after the other. */
  signal(signal) {
    this.#signals = this.#signals
      .then(() => this.#closed || this.#handle(signal))
      .catch((error) => console.warn(`rtc: signal of ${this.id}: ${error.message}`));
    return this.#signals;
  }

  /** Sends a line of chat; false while no channel is open. */
  say(text) {
    return this.#chat?.send(text) ?? false;
  }

  /** Puts our current track of `kind` behind its sender; renegotiates only when the direction changes. */
  async updateTrack(kind) {
    const transceiver = this.#transceiver(kind);
    const track = this.#media.tracks[kind];
    if (!transceiver) {
      // Before the first offer there is nothing to do: it will find the track.
      if (track && this.pc.remoteDescription && !this.#answersOnly) this.#addTransceiver(kind);
      return;
    }
    await transceiver.sender.replaceTrack(track);
    if (track && !transceiver.direction.includes('send')) {
      transceiver.sender.setStreams?.(this.#media.stream);
      transceiver.direction = transceiver.direction === 'inactive' ? 'sendonly' : 'sendrecv';
    }
  }

  /** A far stream can be decrypted, or cannot. */
  unlocked(kind, open) {
    if (open) this.locked.delete(kind);
    else this.locked.add(kind);
    this.dispatchEvent(new CustomEvent('track'));
  }

  /** After the link came back without our session: says again what may have been lost on the way. */
  repeat() {
    if (this.pc.signalingState === 'have-local-offer') this.#sendDescription();
  }

  /** Makes a new connection in place of a broken one and offers it. */
  rebuild() {
    this.#build(!this.#answersOnly);
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#rescueTimer);
    this.#tearDown();
    this.dispatchEvent(new CustomEvent('state'));
  }

  #build(offers) {
    this.#tearDown();
    const pc = new RTCPeerConnection(this.#config);
    this.pc = pc;
    this.stats = new PeerStats(pc);
    this.#makingOffer = false;
    this.#ignoreOffer = false;
    pc.onicecandidate = ({ candidate }) => this.#send({ candidate: candidate ? plain(candidate) : null });
    pc.ontrack = ({ track, transceiver }) => {
      this.#protect(transceiver);
      this.#received(track);
    };
    pc.ondatachannel = ({ channel }) => channel.label === 'chat' && this.#adopt(channel);
    pc.onconnectionstatechange = () => this.#stateChanged();
    pc.onnegotiationneeded = () => this.#answersOnly || this.#offer();
    if (offers) this.#prepareOffer();
  }

  // All at once before the first offer: one negotiation sets up everything.
  #prepareOffer() {
    for (const kind of KINDS) this.#addTransceiver(kind);
    this.#adopt(this.pc.createDataChannel('chat'));
  }

  #tearDown() {
    if (!this.pc) return;
    this.pc.onicecandidate = this.pc.ontrack = this.pc.ondatachannel = null;
    this.pc.onconnectionstatechange = this.pc.onnegotiationneeded = null;
    this.pc.close();
    for (const track of this.stream.getTracks()) this.stream.removeTrack(track);
  }

  async #offer() {
    const pc = this.pc;
    try {
      this.#makingOffer = true;
      await pc.setLocalDescription();
      if (pc === this.pc) this.#sendDescription();
    } catch (error) {
      console.warn(`rtc: offer to ${this.id}: ${error.message}`);
    } finally {
      if (pc === this.pc) this.#makingOffer = false;
    }
  }

  async #handle({ description, candidate, restart }) {
    if (description) await this.#describe(description);
    else if (restart) this.#offerAgain();
    else if (candidate !== undefined) await this.#addCandidate(candidate);
  }

  #offerAgain() {
    if (this.pc.remoteDescription || this.pc.localDescription) this.pc.restartIce();
    else this.#prepareOffer();
  }

  async #describe(description) {
    // What was said of a connection before this one comes late, and would spoil it.
    if (description.type === 'answer' && !this.#awaits(description.sdp)) return;
    const known = sessionId(this.pc.currentRemoteDescription?.sdp);
    const renewed = known !== null && known !== sessionId(description.sdp);
    if (renewed) {
      // The far side lost its connection and made a new one: so do we.
      this.#build(description.type !== 'offer');
      if (description.type !== 'offer') return;
    }
    const pc = this.pc;
    const collision = description.type === 'offer' && (this.#makingOffer || pc.signalingState !== 'stable');
    this.#ignoreOffer = !this.polite && collision;
    if (this.#ignoreOffer) return;
    this.encrypted = isMarked(description.sdp);
    await pc.setRemoteDescription(description);
    for (const transceiver of pc.getTransceivers()) this.#protect(transceiver);
    if (description.type !== 'offer') return;
    await this.#attachTracks();
    await pc.setLocalDescription();
    if (pc === this.pc) this.#sendDescription(description.sdp);
  }

  /** Whether an answer is one to the offer that is open; it is taken for that if it does not say. */
  #awaits(answer) {
    const named = answered(answer);
    if (named === null) return true;
    return this.pc.signalingState === 'have-local-offer' && named === version(this.pc.localDescription?.sdp);
  }

  async #addCandidate(candidate) {
    try {
      await this.pc.addIceCandidate(candidate ?? undefined);
    } catch (error) {
      if (!this.#ignoreOffer) throw error;
    }
  }

  #addTransceiver(kind) {
    const track = this.#media.tracks[kind];
    const transceiver = this.pc.addTransceiver(track ?? kind, {
      direction: track ? 'sendrecv' : 'recvonly',
      streams: [this.#media.stream],
    });
    if (kind === 'video') this.#prefer(transceiver);
    this.#protect(transceiver);
  }

  // With a key nothing goes out or comes in past it: this stands before there is a track.
  #protect(transceiver) {
    if (!this.#protection || transceiver.stopped || transceiver.direction === 'stopped') return;
    const { sender, receiver } = transceiver;
    const { kind } = receiver.track;
    this.#protection.seal(sender, kind);
    this.#protection.open(receiver, kind, this.id);
    this.#protection.limit(transceiver, kind, this.#codec);
  }

  // An answer carries our tracks in the m-lines that the offer brought; what found none is offered afterwards.
  async #attachTracks() {
    for (const kind of KINDS) {
      const transceiver = this.#transceiver(kind);
      const track = this.#media.tracks[kind];
      if (transceiver && kind === 'video') this.#prefer(transceiver);
      if (!transceiver && track && !this.#answersOnly) this.#addTransceiver(kind);
      if (!transceiver || !track || transceiver.sender.track === track) continue;
      await transceiver.sender.replaceTrack(track);
      transceiver.sender.setStreams?.(this.#media.stream);
      transceiver.direction = 'sendrecv';
    }
  }

  #transceiver(kind) {
    return this.pc.getTransceivers().find((t) => t.receiver.track.kind === kind && t.direction !== 'stopped');
  }

  #prefer(transceiver) {
    if (!this.#codec || this.#protection) return;
    const codecs = preferCodec(RTCRtpReceiver.getCapabilities('video').codecs, this.#codec);
    if (codecs) transceiver.setCodecPreferences(codecs);
    else console.warn(`rtc: this browser has no ${this.#codec}`);
  }

  #sendDescription(offer = null) {
    const { type, sdp } = this.pc.localDescription;
    const told = offer === null ? sdp : answering(sdp, offer);
    this.#send({ description: { type, sdp: this.#protection ? marked(told) : told } });
  }

  #received(track) {
    if (this.encrypted && !this.#protection) {
      // Ciphertext decoded is noise.
      this.unlocked(track.kind, false);
      return;
    }
    for (const old of this.stream.getTracks()) {
      if (old.kind === track.kind && old !== track) this.stream.removeTrack(old);
    }
    this.stream.addTrack(track);
    this.dispatchEvent(new CustomEvent('track', { detail: track }));
  }

  #adopt(channel) {
    const chat = new ChatChannel(channel);
    chat.onopen = () => {
      this.#chat = chat;
      this.dispatchEvent(new CustomEvent('chat-open'));
    };
    chat.ontext = (text) => this.dispatchEvent(new CustomEvent('chat', { detail: text }));
  }

  #stateChanged() {
    const state = this.pc.connectionState;
    if (state === 'connected') {
      this.timings.connectedMs ??= performance.now() - this.timings.createdAt;
      clearTimeout(this.#rescueTimer);
      this.#rescueTimer = 0;
    } else if (state === 'failed') {
      this.#rescue();
    }
    this.dispatchEvent(new CustomEvent('state'));
  }

  // First an ICE restart; if that does not help in time, a new connection.
  #rescue() {
    if (this.#answersOnly) {
      this.dispatchEvent(new CustomEvent('lost'));
      return;
    }
    this.pc.restartIce();
    this.#rescueTimer ||= setTimeout(() => {
      this.#rescueTimer = 0;
      if (this.#closed || this.pc.connectionState === 'connected') return;
      this.rebuild();
      // What is said to somebody who is away may be lost on the way: it is said again until there is an answer.
      this.#rescueTimer = setInterval(() => {
        if (this.pc.connectionState === 'failed') this.rebuild();
        else this.repeat();
      }, RESTART_PATIENCE_MS);
    }, RESTART_PATIENCE_MS);
  }
}

function plain({ candidate, sdpMid, sdpMLineIndex, usernameFragment }) {
  return { candidate, sdpMid, sdpMLineIndex, usernameFragment };
}
