// Chromium in a call with itself: N peers, each connected with each, in one page, sending a file by the fake camera.
//   node chromium.mjs CLIP.y4m PEERS BITRATE BEEPS.wav [watched|bare|pairs]
// Says {"event":"flowing"}; "restart" on standard input begins the measuring, "end" prints the result.
// Delays are measured with `watched` only, as looking at every picture costs the page processor time of its own.
// With `pairs` each peer is connected with one other.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const require = createRequire(`${process.env.COMPARE_MODULES}/`);
const { default: puppeteer } = await import(require.resolve('puppeteer-core'));

const [clip, peers, bitrate, wav, how = 'bare'] = process.argv.slice(2);
const say = (event, more = {}) => console.log(JSON.stringify({ event, ...more }));
const here = new URL('.', import.meta.url);
const files = { '/': '<!doctype html><title>call</title>', '/mark.mjs': readFileSync(new URL('mark.mjs', here)), '/tally.mjs': readFileSync(new URL('tally.mjs', here)) };
const server = createServer((request, response) => {
  const type = request.url === '/' ? 'text/html' : 'text/javascript';
  if (files[request.url] === undefined) return response.writeHead(404).end();
  response.writeHead(200, { 'content-type': type }).end(files[request.url]);
});
await new Promise((done) => server.listen(0, '127.0.0.1', done));

const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  headless: true,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
    '--autoplay-policy=no-user-gesture-required', '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream',
    `--use-file-for-fake-video-capture=${clip}`, `--use-file-for-fake-audio-capture=${wav}`,
  ],
});
const page = await browser.newPage();
await page.goto(`http://localhost:${server.address().port}/`);
const header = readFileSync(clip, { encoding: 'latin1', flag: 'r' }).slice(0, 100).split('\n')[0];
const [width, height] = [/W(\d+)/, /H(\d+)/].map((r) => Number(r.exec(header)[1]));

// The two of each connection.
const connections = [];
for (let a = 0; a < Number(peers); a++) {
  for (let b = a + 1; b < Number(peers); b++) {
    if (how !== 'pairs' || (a % 2 === 0 && b === a + 1)) connections.push([a, b]);
  }
}

await page.evaluate(async (width, height, connections, bitrate, watched) => {
  const { number } = await import('/mark.mjs');
  const { Tally } = await import('/tally.mjs');
  const tally = (globalThis.tally = new Tally(90));
  const source = await navigator.mediaDevices.getUserMedia({
    video: { width, height, frameRate: 30 },
    audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
  });
  const kbit = Math.round(bitrate / 1000);
  const rated = (sdp) => sdp.replace(/a=rtpmap:(\d+) VP8\/90000\r\n/g, (line, type) => `${line}a=fmtp:${type} x-google-start-bitrate=${kbit};x-google-max-bitrate=${kbit}\r\n`);

  async function look(track, seen) {
    const reader = new MediaStreamTrackProcessor({ track }).readable.getReader();
    for (;;) {
      const { value: frame, done } = await reader.read();
      if (done) return;
      const now = performance.now();
      const { width: w, height: h } = frame.visibleRect;
      // The band of the mark alone.
      const rect = { x: 0, y: 0, width: w, height: Math.max(2, (Math.ceil((h * 2) / 15) >> 1) << 1) };
      const bytes = new Uint8Array(frame.allocationSize({ rect }));
      const [plane] = await frame.copyTo(bytes, { rect });
      seen(number(bytes, plane.stride, w, h), now);
      frame.close();
    }
  }
  async function listen(track, heard) {
    const reader = new MediaStreamTrackProcessor({ track }).readable.getReader();
    for (;;) {
      const { value: data, done } = await reader.read();
      if (done) return;
      const now = performance.now();
      const samples = new Float32Array(data.numberOfFrames);
      data.copyTo(samples, { planeIndex: 0, format: 'f32-planar' });
      heard(samples, data.sampleRate, now);
      data.close();
    }
  }

  const local = new Tally(90);
  if (watched) {
    look(source.getVideoTracks()[0].clone(), (n, now) => tally.send(n, now));
    listen(source.getAudioTracks()[0].clone(), (samples, rate, now) => local.hear(samples, rate, now, 0.05, 0));
  }
  globalThis.pcs = [];
  globalThis.flowing = 0;
  for (const [a, b] of connections) {
    const [one, two] = [new RTCPeerConnection(), new RTCPeerConnection()];
    pcs.push(one, two);
    for (const [pc, other, measured] of [[one, two, false], [two, one, a === 0 && b === 1]]) {
      pc.onicecandidate = ({ candidate }) => candidate && other.addIceCandidate(candidate);
      pc.ontrack = ({ track }) => {
        const element = document.createElement(track.kind);
        element.srcObject = new MediaStream([track]);
        element.muted = track.kind === 'video';
        element.autoplay = true;
        document.body.append(element);
        if (track.kind === 'video') element.onloadeddata = () => { flowing += 1; };
        if (!watched || !measured) return;
        if (track.kind === 'video') look(track, (n, now) => tally.see(n, now));
        else listen(track, (samples, rate, now) => tally.hear(samples, rate, now, 0.05, 0));
      };
      for (const track of source.getTracks()) pc.addTrack(track.clone(), source);
      for (const t of pc.getTransceivers()) {
        if (t.sender.track.kind !== 'video') continue;
        t.setCodecPreferences(RTCRtpReceiver.getCapabilities('video').codecs.filter((c) => /VP8|rtx/.test(c.mimeType)));
      }
    }
    await one.setLocalDescription();
    await two.setRemoteDescription({ type: 'offer', sdp: rated(one.localDescription.sdp) });
    await two.setLocalDescription();
    await one.setRemoteDescription({ type: 'answer', sdp: rated(two.localDescription.sdp) });
  }
  const inbound = async () => {
    for (const s of (await pcs[1].getStats()).values()) if (s.type === 'inbound-rtp' && s.kind === 'video') return s;
  };
  globalThis.restart = async () => {
    globalThis.before = { at: performance.now(), ...(await inbound()) };
    tally.restart();
    local.restart();
  };
  globalThis.result = async () => {
    const after = await inbound();
    const seconds = (performance.now() - before.at) / 1000;
    const result = tally.result();
    // Both beeps were stamped on the same clock: the far one is later by the delay.
    const [mouth, ear] = [local.result().audio.p50, result.audio];
    const late = (at) => (at === null || mouth === null ? null : (at - mouth + 1000) % 1000);
    return {
      ...result,
      audio: { p50: late(ear.p50), p99: late(ear.p99) },
      pictures: after.framesDecoded - before.framesDecoded,
      missing: watched ? result.missing : null,
      kbit: ((after.bytesReceived - before.bytesReceived) * 8) / 1000 / seconds,
      size: `${after.frameWidth}x${after.frameHeight}`,
    };
  };
}, width, height, connections, Number(bitrate), how === 'watched');

await page.waitForFunction((n) => flowing >= n, { timeout: 60000 }, connections.length * 2);
say('flowing', { pid: browser.process().pid });
createInterface({ input: process.stdin }).on('line', async (line) => {
  if (line === 'restart') return page.evaluate(() => restart());
  say('result', await page.evaluate(() => result()));
  await browser.close();
  process.exit(0);
});
