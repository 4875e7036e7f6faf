// The server's own page in Chromium, with files for camera and microphone.
//   node page.mjs URL CAMERA.y4m MICROPHONE.wav BITRATE [HEARD.wav]
// Says {"event":"joined"}; "end" on standard input writes what was heard of the first peer (48 kHz, mono) and ends.
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const require = createRequire(`${process.env.COMPARE_MODULES}/`);
const { default: puppeteer } = await import(require.resolve('puppeteer-core'));
const [url, camera, microphone, bitrate, heard] = process.argv.slice(2);
const say = (event, more = {}) => console.log(JSON.stringify({ event, ...more }));

const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  headless: true,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
    '--autoplay-policy=no-user-gesture-required', '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream',
    `--use-file-for-fake-video-capture=${camera}`, `--use-file-for-fake-audio-capture=${microphone}`,
  ],
});
const page = await browser.newPage();
await page.evaluateOnNewDocument((bitrate) => {
  globalThis.compared = { sound: [], rate: 0 };
  const Plain = RTCPeerConnection;
  globalThis.RTCPeerConnection = class extends Plain {
    constructor(...more) {
      super(...more);
      this.addEventListener('connectionstatechange', () => {
        if (this.connectionState === 'connected') this.limit();
      });
      this.addEventListener('track', async ({ track }) => {
        if (track.kind !== 'audio') return;
        const reader = new MediaStreamTrackProcessor({ track: track.clone() }).readable.getReader();
        for (;;) {
          const { value: data, done } = await reader.read();
          if (done) return;
          const samples = new Float32Array(data.numberOfFrames);
          data.copyTo(samples, { planeIndex: 0, format: 'f32-planar' });
          compared.rate = data.sampleRate;
          compared.sound.push(Int16Array.from(samples, (s) => Math.round(Math.max(-1, Math.min(1, s)) * 32767)));
          data.close();
        }
      });
    }

    async limit() {
      for (const sender of this.getSenders()) {
        if (sender.track?.kind !== 'video') continue;
        const parameters = sender.getParameters();
        parameters.degradationPreference = 'maintain-resolution';
        for (const encoding of parameters.encodings) encoding.maxBitrate = bitrate;
        await sender.setParameters(parameters);
      }
    }
  };
}, Number(bitrate));
await page.goto(url);
await page.waitForFunction(() => globalThis.rtc?.phase === 'joined');
say('joined');
createInterface({ input: process.stdin }).on('line', async () => {
  if (heard) {
    const { rate, base64 } = await page.evaluate(() => {
      const length = compared.sound.reduce((sum, part) => sum + part.length, 0);
      const all = new Int16Array(length);
      let at = 0;
      for (const part of compared.sound) {
        all.set(part, at);
        at += part.length;
      }
      const bytes = new Uint8Array(all.buffer);
      let text = '';
      for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
      return { rate: compared.rate, base64: btoa(text) };
    });
    const data = Buffer.from(base64, 'base64');
    const header = Buffer.alloc(44);
    header.write('RIFF');
    header.writeUInt32LE(36 + data.length, 4);
    header.write('WAVEfmt ', 8);
    for (const [value, at] of [[16, 16], [rate, 24], [rate * 2, 28], [data.length, 40]]) header.writeUInt32LE(value, at);
    for (const [value, at] of [[1, 20], [1, 22], [2, 32], [16, 34]]) header.writeUInt16LE(value, at);
    header.write('data', 36);
    writeFileSync(heard, Buffer.concat([header, data]));
  }
  await browser.close();
  say('ended');
  process.exit(0);
});
