// Listens to a tone in a track: which frequency, how pure, and where it was silent.
//
// rtcTone.watch(track, hz) starts; .summary() tells so far; .stop() ends. It sees every sample the page would play, by
// MediaStreamTrackProcessor in Chromium and by a node of Web Audio elsewhere.
globalThis.rtcTone ??= (() => {
  const BLOCK_SECONDS = 0.02;
  const SILENT_SHARE = 0.25; // of the median amplitude: below it a block is a gap

  // Power of `samples` at `hz` as a share of all their power (Goertzel).
  function purity(samples, hz, rate) {
    const turn = (2 * Math.PI * hz) / rate;
    let re = 0;
    let im = 0;
    let all = 0;
    samples.forEach((x, i) => {
      re += x * Math.cos(turn * i);
      im += x * Math.sin(turn * i);
      all += x * x;
    });
    return all > 0 ? (2 * (re * re + im * im)) / (samples.length * all) : 0;
  }

  const middle = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

  /** What `samples` tell, from the first block that is loud on. */
  function analyse(samples, rate, hz) {
    const size = Math.round(rate * BLOCK_SECONDS);
    const levels = [];
    for (let at = 0; at + size <= samples.length; at += size) {
      const block = samples.subarray(at, at + size);
      levels.push(Math.sqrt(block.reduce((sum, x) => sum + x * x, 0) / size));
    }
    const level = middle(levels);
    const loud = levels.map((each) => each > Math.max(1e-4, level * SILENT_SHARE));
    const first = loud.indexOf(true);
    const last = loud.lastIndexOf(true);
    const pure = [];
    const pitches = [];
    let gaps = 0;
    for (let i = first; first >= 0 && i <= last; i++) {
      if (!loud[i]) {
        if (loud[i - 1]) gaps += 1;
        continue;
      }
      const block = samples.subarray(i * size, (i + 1) * size);
      pure.push(purity(block, hz, rate));
      // Time between the first and the last upward crossing, each found between two samples.
      let from = null;
      let to = null;
      let count = 0;
      for (let k = 1; k < block.length; k++) {
        if (block[k - 1] < 0 && block[k] >= 0) {
          to = k - block[k] / (block[k] - block[k - 1]);
          from ??= to;
          count += 1;
        }
      }
      if (count > 1) pitches.push(((count - 1) * rate) / (to - from));
    }
    return {
      seconds: samples.length / rate,
      heardSeconds: first < 0 ? 0 : (last - first + 1) * BLOCK_SECONDS,
      // The middle one of all blocks: those in which a jitter buffer stretched time do not count.
      hz: middle(pitches),
      level,
      purity: middle(pure),
      gaps,
      silentBlocks: first < 0 ? 0 : loud.slice(first, last + 1).filter((is) => !is).length,
    };
  }

  /** Gives all samples to `take`, with their rate. What it gives back ends it. */
  function decoded(track, take, fail) {
    const reader = new MediaStreamTrackProcessor({ track, maxBufferSize: 100 }).readable.getReader();
    let running = true;
    const run = async () => {
      while (running) {
        const { value: data, done } = await reader.read();
        if (done) return;
        const samples = new Float32Array(data.numberOfFrames);
        data.copyTo(samples, { planeIndex: 0, format: 'f32-planar' });
        take(samples, data.sampleRate);
        data.close();
      }
    };
    const ended = run().catch(fail);
    return async () => {
      running = false;
      await reader.cancel();
      await ended;
    };
  }

  /** As `decoded`. */
  function mixed(track, take) {
    const context = new AudioContext();
    const tap = context.createScriptProcessor(1024, 1, 1);
    tap.onaudioprocess = ({ inputBuffer }) => take(inputBuffer.getChannelData(0).slice(), context.sampleRate);
    context.createMediaStreamSource(new MediaStream([track])).connect(tap).connect(context.destination);
    return () => context.close();
  }

  function watch(track, hz) {
    const chunks = [];
    let rate = 48000;
    let fault = null;
    const take = (samples, itsRate) => {
      rate = itsRate;
      if (chunks.length < 100 * 120) chunks.push(samples); // two minutes are enough
    };
    const sound = globalThis.MediaStreamTrackProcessor ? decoded : mixed;
    const stop = sound(track, take, (error) => (fault = String(error)));
    return {
      /** The last `seconds` of what was heard. */
      summary(seconds = Infinity) {
        const all = new Float32Array(chunks.reduce((sum, { length }) => sum + length, 0));
        let at = 0;
        for (const chunk of chunks) {
          all.set(chunk, at);
          at += chunk.length;
        }
        const from = Math.max(0, all.length - Math.floor(Math.min(seconds, all.length / rate) * rate));
        return { ...analyse(all.subarray(from), rate, hz), fault };
      },
      stop,
    };
  }

  return { analyse, watch };
})();
