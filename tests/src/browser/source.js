// Takes the place of camera and microphone in a page: a moving picture with marks (layout: client/src/measure/marks.rs)
// and a tone of 440 Hz. It has to run before the page's own scripts.
(() => {
  // Neither empty pages nor those without TLS have devices.
  if (!navigator.mediaDevices) return;
  const [WIDTH, HEIGHT, FPS, HZ] = [640, 360, 30, 440];
  const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
    for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
    return n >>> 0;
  });
  const crc32 = (bytes) => ~bytes.reduce((crc, byte) => TABLE[(crc ^ byte) & 255] ^ (crc >>> 8), -1) >>> 0;

  /** The 120 cells of a mark, true for white. */
  function cells(number, at) {
    const bytes = [24n, 16n, 8n, 0n].map((by) => Number((BigInt(number) >> by) & 255n));
    for (const by of [48n, 40n, 32n, 24n, 16n, 8n, 0n]) bytes.push(Number((at >> by) & 255n));
    const bits = ((BigInt(number) << 84n) | (at << 32n) | BigInt(crc32(bytes))).toString(2).padStart(116, '0');
    const corners = new Map([[0, '1'], [39, '0'], [80, '0'], [119, '1']]);
    let next = 0;
    return Array.from({ length: 120 }, (_, cell) => (corners.get(cell) ?? bits[next++]) === '1');
  }

  function camera() {
    const canvas = Object.assign(document.createElement('canvas'), { width: WIDTH, height: HEIGHT });
    const context = canvas.getContext('2d');
    let number = 0;
    const draw = () => {
      for (let i = 0; i < 8; i++) {
        context.fillStyle = `hsl(${i * 45 + number} 60% 50%)`;
        context.fillRect(((i * 80 + number * 2) % (WIDTH + 80)) - 80, 0, 80, HEIGHT);
      }
      const at = BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000));
      cells(number, at).forEach((white, cell) => {
        const [column, row] = [cell % 40, Math.floor(cell / 40)];
        context.fillStyle = white ? '#fff' : '#000';
        context.fillRect(column * 16, row * 16, 16, 16);
      });
      number += 1;
    };
    draw();
    const timer = setInterval(draw, 1000 / FPS);
    const [track] = canvas.captureStream(FPS).getVideoTracks();
    const stop = track.stop.bind(track);
    track.stop = () => {
      clearInterval(timer);
      stop();
    };
    return track;
  }

  function microphone() {
    const context = new AudioContext({ sampleRate: 48000 });
    const out = context.createMediaStreamDestination();
    const tone = new OscillatorNode(context, { frequency: HZ });
    tone.connect(new GainNode(context, { gain: 0.25 })).connect(out);
    tone.start();
    return out.stream.getAudioTracks()[0];
  }

  navigator.mediaDevices.getUserMedia = async ({ audio, video }) =>
    new MediaStream([...(audio ? [microphone()] : []), ...(video ? [camera()] : [])]);
})();
