// Camera and microphone: opened, chosen, muted. A call without any of them is a call that only receives.

const WANTED = {
  audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
  video: { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } },
};
const RAW_SOUND = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
const STORE_KEY = 'rtc.media';

/** What a failed `getUserMedia` means for the person in front of the screen. */
export function explain(kind, error) {
  const device = kind === 'audio' ? 'microphone' : 'camera';
  switch (error?.name) {
    case 'NotFoundError':
    case 'OverconstrainedError':
      return `No ${device} was found.`;
    case 'NotAllowedError':
    case 'SecurityError':
      return `The browser may not use the ${device}. Allow it in the address bar.`;
    case 'NotReadableError':
    case 'AbortError':
      return `The ${device} is busy or broken. Close the program that uses it.`;
    case 'InsecureContextError':
      return `The ${device} needs https:// or localhost.`;
    default:
      return `The ${device} did not open: ${error?.message ?? error}`;
  }
}

/** Events: `change` (detail: kind) when a track, its mute state or a problem changed; `devices`. */
export class Media extends EventTarget {
  /** Our tracks; null where there is no device or it is off. */
  tracks = { audio: null, video: null };
  /** Whether the person wants it on. */
  wanted = { audio: true, video: true };
  /** Why a wanted one is missing, in words; null otherwise. */
  problems = { audio: null, video: null };
  /** One stream for both, so that the far side shows them together. */
  stream = new MediaStream();
  #chosen = { audio: '', video: '', speaker: '' };
  #processing;
  #opening = { audio: Promise.resolve(), video: Promise.resolve() };

  /** Without `processing` the sound goes out as the microphone gave it: for music, and for measuring. */
  constructor(wanted, { processing = true } = {}) {
    super();
    this.#processing = processing;
    Object.assign(this.wanted, wanted);
    try {
      Object.assign(this.#chosen, JSON.parse(localStorage.getItem(STORE_KEY)));
    } catch {
      // Nothing remembered, or storage is forbidden: default devices.
    }
    navigator.mediaDevices?.addEventListener('devicechange', () => this.#devicesChanged());
  }

  /** Opens what is wanted, both in one question to the person. Never fails: see `problems`. */
  async open() {
    const kinds = ['audio', 'video'].filter((kind) => this.wanted[kind] && !this.tracks[kind]);
    if (kinds.length === 2) {
      try {
        for (const track of await this.#capture(kinds)) this.#install(track.kind, track);
        return;
      } catch {
        // One of them is missing or refused: ask for each alone to learn which.
      }
    }
    for (const kind of kinds) await this.#openOne(kind);
  }

  /** Whether `kind` is being sent right now. */
  on(kind) {
    return this.wanted[kind] && this.tracks[kind] !== null;
  }

  /** Turns `kind` on or off. Off closes the camera (its light goes out) but only silences the microphone. */
  set(kind, on) {
    this.wanted[kind] = on;
    this.#opening[kind] = this.#opening[kind].then(async () => {
      if (this.wanted[kind] !== on) return;
      const track = this.tracks[kind];
      if (kind === 'audio' && track) {
        track.enabled = on;
        this.#changed(kind);
      } else if (on && !track) {
        await this.#openOne(kind);
      } else if (!on) {
        this.problems[kind] = null;
        this.#install(kind, null);
      }
    });
    return this.#opening[kind];
  }

  /** The chosen device of `kind` (audio, video or speaker); empty for the default. */
  chosen(kind) {
    return this.tracks[kind]?.getSettings().deviceId ?? this.#chosen[kind];
  }

  /** Takes another device; a running one is swapped without a gap in the call. */
  async choose(kind, deviceId) {
    this.#chosen[kind] = deviceId;
    try {
      localStorage.setItem(STORE_KEY, JSON.stringify(this.#chosen));
    } catch {
      // Not remembered, still used.
    }
    if (kind === 'speaker') this.#changed(kind);
    else if (this.wanted[kind]) await this.#openOne(kind);
  }

  /** Devices by kind: `{audio, video, speaker}`, each a list of `{deviceId, label}`. */
  async devices() {
    const all = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
    const of = (kind, word) =>
      all
        .filter((device) => device.kind === kind && device.deviceId)
        .map(({ deviceId, label }, i) => ({ deviceId, label: label || `${word} ${i + 1}` }));
    const speakers = 'setSinkId' in HTMLMediaElement.prototype ? of('audiooutput', 'Loudspeaker') : [];
    return { audio: of('audioinput', 'Microphone'), video: of('videoinput', 'Camera'), speaker: speakers };
  }

  /** Gives all devices back. */
  close() {
    for (const kind of ['audio', 'video']) this.#install(kind, null);
  }

  async #openOne(kind) {
    try {
      const [track] = await this.#capture([kind]);
      this.#install(kind, track);
    } catch (error) {
      this.problems[kind] = explain(kind, error);
      if (this.tracks[kind]?.readyState === 'ended') this.#install(kind, null);
      this.#changed(kind);
    }
  }

  async #capture(kinds) {
    if (!navigator.mediaDevices) throw new DOMException('not a secure context', 'InsecureContextError');
    const constraints = {};
    for (const kind of kinds) {
      const deviceId = this.#chosen[kind];
      const asked = kind === 'audio' && !this.#processing ? RAW_SOUND : WANTED[kind];
      constraints[kind] = { ...asked, ...(deviceId && { deviceId: { ideal: deviceId } }) };
    }
    return (await navigator.mediaDevices.getUserMedia(constraints)).getTracks();
  }

  #install(kind, track) {
    const old = this.tracks[kind];
    if (old) {
      this.stream.removeTrack(old);
      old.onended = null;
      old.stop();
    }
    // Turned off while the device was still opening.
    if (track && kind === 'video' && !this.wanted.video) {
      track.stop();
      track = null;
    }
    this.tracks[kind] = track;
    if (track) {
      this.problems[kind] = null;
      if (kind === 'video') track.contentHint = 'motion';
      track.enabled = this.wanted[kind];
      this.stream.addTrack(track);
      track.onended = () => this.#unplugged(kind);
    }
    this.#changed(kind);
  }

  // The device went away in the middle of the call: another may take its place.
  async #unplugged(kind) {
    this.#install(kind, null);
    await this.#openOne(kind);
  }

  async #devicesChanged() {
    this.dispatchEvent(new CustomEvent('devices'));
    for (const kind of ['audio', 'video']) {
      if (this.wanted[kind] && !this.tracks[kind]) await this.#openOne(kind);
    }
  }

  #changed(kind) {
    this.dispatchEvent(new CustomEvent('change', { detail: kind }));
  }
}

/** Calls `report(0..1)` with the loudness of `track` until the returned function is called. */
export function watchLevel(track, report) {
  const context = new AudioContext();
  const analyser = new AnalyserNode(context, { fftSize: 1024 });
  context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, x) => sum + x * x, 0) / samples.length;
    report(Math.min(1, Math.max(0, (10 * Math.log10(power + 1e-9) + 60) / 60)));
  }, 100);
  return () => {
    clearInterval(timer);
    context.close();
    report(0);
  };
}
