// Reads the marks of the test picture (layout: client/src/measure/marks.rs) out of every picture of a track.
//
// rtcMarks.watch(track, tell) starts, and calls `tell` with the time of each picture and its mark; .summary() tells so far; .stop() ends. In Chromium (MediaStreamTrackProcessor) every
// decoded picture is seen, at the moment the page gets it; elsewhere those that are painted.
globalThis.rtcMarks ??= (() => {
  const COLUMNS = 40;
  const ROWS = 3;
  const CELLS = COLUMNS * ROWS;
  const LAST_PICTURE_MS = 500;
  const CORNERS = new Map([[0, 1], [COLUMNS - 1, 0], [CELLS - COLUMNS, 0], [CELLS - 1, 1]]);
  const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
    for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
    return n >>> 0;
  });

  const crc32 = (bytes) => ~bytes.reduce((crc, byte) => TABLE[(crc ^ byte) & 255] ^ (crc >>> 8), -1) >>> 0;

  // The middle half of from..to, or all of it where it is below 4 pixels.
  const middle = (from, to) => {
    const quarter = to - from < 4 ? 0 : Math.floor((to - from) / 4);
    return [from + quarter, to - quarter];
  };

  /** `{number, at}` (at in microseconds, a Number: exact below 2^53), or null. */
  function read(luma, stride, width, height) {
    if (width < 80 || height < 45) return null;
    const values = [];
    for (let cell = 0; cell < CELLS; cell++) {
      const column = cell % COLUMNS;
      const row = Math.floor(cell / COLUMNS);
      const [x0, x1] = middle(Math.floor((column * width) / COLUMNS), Math.floor(((column + 1) * width) / COLUMNS));
      const [y0, y1] = middle(Math.floor((row * 2 * height) / 45), Math.floor(((row + 1) * 2 * height) / 45));
      let sum = 0;
      for (let y = y0; y < y1; y++) for (let x = x0; x < x1; x++) sum += luma[y * stride + x];
      values.push(sum / ((x1 - x0) * (y1 - y0)));
    }
    const corner = (white) => [...CORNERS].filter(([, is]) => is === white).reduce((sum, [cell]) => sum + values[cell] / 2, 0);
    const black = corner(0);
    const span = corner(1) - black;
    if (span < 64) return null;
    let bits = 0n;
    for (let cell = 0; cell < CELLS; cell++) {
      const share = (values[cell] - black) / span;
      if (share > 0.4 && share < 0.6) return null;
      const bit = share > 0.5 ? 1 : 0;
      if (!CORNERS.has(cell)) bits = (bits << 1n) | BigInt(bit);
      else if (CORNERS.get(cell) !== bit) return null;
    }
    const number = Number(bits >> 84n);
    const time = (bits >> 32n) & ((1n << 52n) - 1n);
    const bytes = [24n, 16n, 8n, 0n].map((by) => (BigInt(number) >> by) & 255n);
    for (const by of [48n, 40n, 32n, 24n, 16n, 8n, 0n]) bytes.push((time >> by) & 255n);
    if (crc32(bytes.map(Number)) !== Number(bits & 0xffffffffn)) return null;
    return { number, at: Number(time) };
  }

  const now = () => (performance.timeOrigin + performance.now()) * 1000;

  /** Gives every decoded picture to `see`: when it came, luma, stride, width, height. What it gives back ends it. */
  function decoded(track, see, fail) {
    const own = track.clone();
    const reader = new MediaStreamTrackProcessor({ track: own, maxBufferSize: 30 }).readable.getReader();
    let running = true;
    let buffer = new Uint8Array(0);
    const look = async (frame) => {
      const arrived = now();
      if (!['I420', 'NV12', 'I420A'].includes(frame.format)) throw new Error(`pictures in ${frame.format} are not understood`);
      const { width, height } = frame.visibleRect;
      if (buffer.length < frame.allocationSize()) buffer = new Uint8Array(frame.allocationSize());
      const [plane] = await frame.copyTo(buffer);
      see(arrived, buffer.subarray(plane.offset), plane.stride, width, height);
    };
    const next = async () => {
      const { value: frame, done } = await reader.read();
      if (done) return false;
      try {
        if (running) await look(frame);
      } finally {
        frame.close();
      }
      return true;
    };
    const run = async () => {
      while (running && (await next()));
    };
    const ended = run().catch(fail);
    return async () => {
      running = false;
      // Each picture that is made for us has to be closed, or the browser complains of it in the page; one that is made while
      // the track ends gets lost. So the last read gets its picture first, if any still come, and what waits behind it is read, too.
      await Promise.race([ended, new Promise((over) => setTimeout(over, LAST_PICTURE_MS))]);
      own.stop();
      const rest = async () => {
        while (await next());
      };
      await rest().catch(fail);
    };
  }

  /** As `decoded`, of the pictures that are painted; green stands for luma, for marks are grey. */
  function painted(track, see, fail) {
    const video = Object.assign(document.createElement('video'), { srcObject: new MediaStream([track]), muted: true });
    const canvas = document.createElement('canvas');
    const context = canvas.getContext('2d', { willReadFrequently: true });
    let running = true;
    let luma = new Uint8Array(0);
    const look = () => {
      if (!running) return;
      video.requestVideoFrameCallback(look);
      const arrived = now();
      const { videoWidth: width, videoHeight: height } = video;
      const band = Math.ceil((height * 2 * ROWS) / 45);
      if (canvas.width !== width || canvas.height !== band) Object.assign(canvas, { width, height: band });
      context.drawImage(video, 0, 0);
      const { data } = context.getImageData(0, 0, width, band);
      if (luma.length !== width * band) luma = new Uint8Array(width * band);
      for (let i = 0; i < luma.length; i++) luma[i] = data[4 * i + 1];
      see(arrived, luma, width, width, height);
    };
    video.requestVideoFrameCallback(look);
    video.play().catch(fail);
    return async () => {
      running = false;
      video.srcObject = null;
    };
  }

  function watch(track, tell) {
    const numbers = [];
    const ages = [];
    let unreadable = 0;
    let size = [0, 0];
    let fault = null;
    const see = (arrived, luma, stride, width, height) => {
      size = [width, height];
      const mark = read(luma, stride, width, height);
      tell?.(arrived, mark);
      if (!mark) {
        unreadable += 1;
        return;
      }
      numbers.push(mark.number);
      ages.push((arrived - mark.at) / 1000);
    };
    const pictures = globalThis.MediaStreamTrackProcessor ? decoded : painted;
    const stop = pictures(track, see, (error) => (fault = String(error)));
    return {
      numbers,
      summary() {
        const unique = new Set(numbers);
        const sorted = [...ages].sort((a, b) => a - b);
        const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? null;
        const [low, high] = unique.size ? [Math.min(...unique), Math.max(...unique)] : [0, -1];
        return {
          read: numbers.length,
          unreadable,
          first: numbers[0] ?? null,
          last: numbers.at(-1) ?? null,
          missing: high - low + 1 - unique.size,
          repeated: numbers.length - unique.size,
          outOfOrder: numbers.filter((number, i) => i > 0 && number < numbers[i - 1]).length,
          latencyMsP50: at(0.5),
          latencyMsP99: at(0.99),
          width: size[0],
          height: size[1],
          fault,
        };
      },
      stop,
    };
  }

  return { read, watch };
})();
