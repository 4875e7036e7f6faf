// libwebrtc (npm's @roamhq/wrtc) in a call with itself: N peers, each connected with each, in this process.
//   node wrtc.mjs CLIP.y4m PEERS BITRATE
// Says {"event":"flowing"}; "restart" on standard input begins the measuring, "end" prints the result.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { number } from './mark.mjs';
import { Tally } from './tally.mjs';

const require = createRequire(`${process.env.COMPARE_MODULES}/`);
const { RTCPeerConnection, nonstandard } = require('@roamhq/wrtc');
const { RTCVideoSource, RTCVideoSink, RTCAudioSource, RTCAudioSink } = nonstandard;

const [file, peers, bitrate] = process.argv.slice(2);
const y4m = readFileSync(file);
const header = y4m.subarray(0, y4m.indexOf(10)).toString();
const [width, height] = [/W(\d+)/, /H(\d+)/].map((r) => Number(r.exec(header)[1]));
const size = (width * height * 3) / 2;
const clip = Math.floor((y4m.length - header.length - 1) / (size + 6));
// A buffer of its own for each: the source looks at the whole of what is under a view.
const picture = Array.from({ length: clip }, (_, n) => {
  const from = header.length + 1 + n * (size + 6) + 6;
  return Uint8ClampedArray.from(y4m.subarray(from, from + size));
});

const say = (event, more = {}) => console.log(JSON.stringify({ event, ...more }));
const now = () => performance.now();
const epoch = now();
const tally = new Tally(clip);

const count = Number(peers);
const video = Array.from({ length: count }, () => new RTCVideoSource());
const audio = Array.from({ length: count }, () => new RTCAudioSource());
const kbit = Math.round(Number(bitrate) / 1000);
// libwebrtc's own words for where its estimate begins and ends.
const rated = (sdp) => sdp.replace(/a=rtpmap:(\d+) VP8\/90000\r\n/g, (line, type) => `${line}a=fmtp:${type} x-google-start-bitrate=${kbit};x-google-max-bitrate=${kbit}\r\n`);

const connections = [];
let flowing = 0;
async function connect(a, b) {
  const [one, two] = [new RTCPeerConnection(), new RTCPeerConnection()];
  connections.push(one, two);
  one.onicecandidate = ({ candidate }) => candidate && two.addIceCandidate(candidate);
  two.onicecandidate = ({ candidate }) => candidate && one.addIceCandidate(candidate);
  for (const [pc, from, measured] of [[one, a, false], [two, b, a === 0 && b === 1]]) {
    pc.addTrack(video[from].createTrack());
    pc.addTrack(audio[from].createTrack());
    pc.ontrack = ({ track }) => {
      if (track.kind === 'video') {
        let first = true;
        pc.sink = new RTCVideoSink(track);
        pc.sink.onframe = ({ frame }) => {
          if (first) flowing += 1;
          first = false;
          if (measured) tally.see(number(frame.data, frame.width, frame.width, frame.height), now());
        };
      } else {
        pc.ear = new RTCAudioSink(track);
        pc.ear.ondata = ({ samples, sampleRate, channelCount }) => {
          if (measured) tally.hear(channelCount === 1 ? samples : samples.filter((_, i) => i % channelCount === 0), sampleRate, now(), 2000, epoch);
        };
      }
    };
  }
  const offer = await one.createOffer();
  const preferred = { type: 'offer', sdp: rated(offer.sdp) };
  await one.setLocalDescription(offer);
  await two.setRemoteDescription(preferred);
  const answer = await two.createAnswer();
  await two.setLocalDescription(answer);
  await one.setRemoteDescription({ type: 'answer', sdp: rated(answer.sdp) });
}

// What comes late is made up for at once: timers of a busy process slip.
let [pictures, blocks] = [0, 0];
setInterval(() => {
  for (; pictures * (1000 / 30) <= now() - epoch; pictures++) {
    const n = pictures % clip;
    tally.send(n, now());
    for (const source of video) source.onFrame({ width, height, data: picture[n] });
  }
  // Sound is there once its last sample was taken.
  for (; (blocks + 1) * 10 <= now() - epoch; blocks++) {
    const samples = new Int16Array(480);
    if (blocks % 100 < 10) for (let i = 0; i < 480; i++) samples[i] = 12000 * Math.sin((2 * Math.PI * 1000 * (i + 1)) / 48000);
    for (const source of audio) source.onData({ samples, sampleRate: 48000, bitsPerSample: 16, channelCount: 1, numberOfFrames: 480 });
  }
}, 5);

for (let a = 0; a < count; a++) for (let b = a + 1; b < count; b++) await connect(a, b);
const wait = setInterval(() => {
  if (flowing < count * (count - 1)) return;
  clearInterval(wait);
  say('flowing');
}, 50);

async function received() {
  let bytes = 0;
  for (const [, s] of await connections[1].getStats()) if (s.type === 'inbound-rtp' && s.kind === 'video') bytes = s.bytesReceived;
  return bytes;
}
let [since, bytes] = [now(), 0];
createInterface({ input: process.stdin }).on('line', async (line) => {
  if (line === 'restart') {
    [since, bytes] = [now(), await received()];
    tally.restart();
  } else {
    const rate = ((await received()) - bytes) * 8 / (now() - since);
    say('result', { ...tally.result(), kbit: rate });
    process.exit(0);
  }
});
