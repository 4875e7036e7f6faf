// Chromium in a call over a bad path, which is that between it and a TURN server (docs/impair.md).
//   node network.mjs call BITRATE             two peers in one page; the one that sends may only relay
//   node network.mjs page BITRATE URL         the server's own page, which receives
// Says {"event":"ready"} or {"event":"joined"}. In a call, "go URL USER CREDENTIAL" on standard input begins it. From then on
// "sample" prints what the receiver counted so far, and "end" what was seen of the marked pictures.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const require = createRequire(`${process.env.COMPARE_MODULES}/`);
const { default: puppeteer } = await import(require.resolve('puppeteer-core'));
const [mode, bitrate, url] = process.argv.slice(2);
const say = (event, more = {}) => console.log(JSON.stringify({ event, ...more }));
const here = new URL('.', import.meta.url);
const read = (file) => readFileSync(new URL(file, here), 'utf8');

const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  headless: true,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
    '--autoplay-policy=no-user-gesture-required', '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream',
  ],
});
const page = await browser.newPage();
await page.evaluateOnNewDocument(read('../../client/browser/src/marks.js'));
await page.evaluateOnNewDocument(`globalThis.testPicture = (() => { ${read('picture.mjs').replaceAll('export ', '')}; return { render, stamp, psnr, band }; })();`);
await page.evaluateOnNewDocument(() => {
  // Every picture's mark is read, one in ten is compared, as rtc-client does (client/src/measure/video.rs).
  const EVERY = 10;
  const seen = { numbers: [], delays: [], psnr: [], unreadable: 0 };
  async function look(track) {
    const reader = new MediaStreamTrackProcessor({ track, maxBufferSize: 30 }).readable.getReader();
    for (;;) {
      const { value: frame, done } = await reader.read();
      if (done) return;
      const now = (performance.timeOrigin + performance.now()) * 1000;
      const { width, height } = frame.visibleRect;
      const compared = seen.numbers.length % EVERY === 0;
      const rows = compared ? height : Math.min(height, (testPicture.band(height) + 2) & ~1);
      const rect = { x: 0, y: 0, width, height: rows };
      const bytes = new Uint8Array(frame.allocationSize({ rect }));
      const [plane] = await frame.copyTo(bytes, { rect });
      frame.close();
      const mark = rtcMarks.read(bytes.subarray(plane.offset), plane.stride, width, height);
      if (!mark) {
        seen.unreadable += 1;
        continue;
      }
      seen.numbers.push(mark.number);
      seen.delays.push((now - mark.at) / 1000);
      if (compared) seen.psnr.push(testPicture.psnr(bytes.subarray(plane.offset), plane.stride, width, height, mark.number));
    }
  }
  const network = (globalThis.network = {
    receiver: null,
    sender: null,
    connected: null,
    /** What is received over `pc` is looked at. */
    watch(pc) {
      network.receiver = pc;
      pc.addEventListener('connectionstatechange', () => {
        if (pc.connectionState === 'connected') network.connected ??= Date.now() / 1000;
      });
      pc.addEventListener('track', ({ track }) => {
        if (track.kind === 'video') look(track);
      });
    },
    async sample() {
      const named = {};
      for (const s of (await network.receiver.getStats()).values()) if (s.type === 'inbound-rtp') named[s.kind] = { ...s };
      if (network.sender) {
        for (const s of (await network.sender.getStats()).values()) if (s.type === 'outbound-rtp' && s.kind === 'video') named.sent = { ...s };
      }
      return { connected: network.connected, ...named };
    },
    result() {
      const sorted = [...seen.delays].sort((a, b) => a - b);
      const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? null;
      return {
        pictures: seen.numbers.length,
        unreadable: seen.unreadable,
        delayP50: at(0.5),
        delayP95: at(0.95),
        psnr: seen.psnr.length ? seen.psnr.reduce((sum, db) => sum + db, 0) / seen.psnr.length : null,
      };
    },
  });
});

async function call(url, username, credential) {
  await page.evaluate(async (url, username, credential, bitrate) => {
    const [WIDTH, HEIGHT, FPS] = [640, 360, 30];
    function camera() {
      const generator = new MediaStreamTrackGenerator({ kind: 'video' });
      const writer = generator.writable.getWriter();
      const began = performance.now();
      let tick = 0;
      let number = 0;
      const give = () => {
        const micros = Math.round((performance.timeOrigin + performance.now()) * 1000);
        const picture = testPicture.render(number, WIDTH, HEIGHT);
        testPicture.stamp(picture, WIDTH, HEIGHT, number, micros);
        number += 1;
        const bytes = new Uint8Array((WIDTH * HEIGHT * 3) / 2);
        bytes.set(picture.y);
        bytes.set(picture.u, picture.y.length);
        bytes.set(picture.v, picture.y.length + picture.u.length);
        writer.write(new VideoFrame(bytes, { format: 'I420', codedWidth: WIDTH, codedHeight: HEIGHT, timestamp: micros }));
        // An absolute schedule, with what was slept through left out.
        tick = Math.max(tick + 1, Math.floor(((performance.now() - began) * FPS) / 1000));
        setTimeout(give, Math.max(0, began + (tick * 1000) / FPS - performance.now()));
      };
      give();
      return generator;
    }
    // With leave to use the microphone, host candidates show their addresses.
    const sound = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
    const one = new RTCPeerConnection({ iceServers: [{ urls: [url], username, credential }], iceTransportPolicy: 'relay' });
    const two = new RTCPeerConnection();
    network.sender = one;
    network.watch(two);
    one.onicecandidate = ({ candidate }) => candidate && two.addIceCandidate(candidate);
    two.onicecandidate = ({ candidate }) => candidate && one.addIceCandidate(candidate);
    for (const pc of [one, two]) pc.addTrack(sound.getAudioTracks()[0].clone(), sound);
    two.addEventListener('track', ({ track }) => {
      const element = document.createElement(track.kind);
      Object.assign(element, { srcObject: new MediaStream([track]), autoplay: true, muted: track.kind === 'video' });
      document.body.append(element);
    });
    const sender = one.addTrack(camera(), sound);
    for (const t of one.getTransceivers()) {
      if (t.sender !== sender) continue;
      t.setCodecPreferences(RTCRtpReceiver.getCapabilities('video').codecs.filter((c) => /\/(VP8|rtx|red|ulpfec)$/i.test(c.mimeType)));
    }
    await one.setLocalDescription();
    await two.setRemoteDescription(one.localDescription);
    await two.setLocalDescription();
    await one.setRemoteDescription(two.localDescription);
    const parameters = sender.getParameters();
    for (const encoding of parameters.encodings) encoding.maxBitrate = bitrate;
    await sender.setParameters(parameters);
  }, url, username, credential, Number(bitrate));
}

if (mode === 'call') {
  const server = createServer((_, response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>call</title>'));
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  await page.goto(`http://localhost:${server.address().port}/`);
  say('ready');
} else {
  await page.evaluateOnNewDocument(() => {
    const Plain = RTCPeerConnection;
    globalThis.RTCPeerConnection = class extends Plain {
      constructor(...more) {
        super(...more);
        network.watch(this);
      }
    };
  });
  await page.goto(url);
  await page.waitForFunction(() => globalThis.rtc?.phase === 'joined');
  say('joined');
}
createInterface({ input: process.stdin }).on('line', async (line) => {
  const [word, ...more] = line.split(' ');
  try {
    if (word === 'go') {
      await call(...more);
      say('gone');
    } else if (word === 'sample') {
      say('sample', await page.evaluate(() => network.sample()));
    } else {
      say('result', await page.evaluate(() => network.result()));
      await browser.close();
      process.exit(0);
    }
  } catch (error) {
    say('failed', { error: error.message });
  }
});
