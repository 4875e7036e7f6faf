'use strict';

// A channel of two, as a reader of the book writes it: whoever made the channel calls whoever comes.
// The address says where: /?room=foo

const channel = new URLSearchParams(location.search).get('room') || 'foo';
const socket = io();

let inside = false;
let pc = null;
let otherStream = null;
let ended = false;

const camera = navigator.mediaDevices.getUserMedia({
  video: true,
  audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
});

const message = (what) => socket.emit('message', { channel, message: what });
const response = (what) => socket.emit('response', { channel, message: what });

socket.on('created', () => { inside = true; });
socket.on('full', (which) => console.error(`channel ${which} is full`));

// The one who was there calls; the one who comes says a word first.
socket.on('remotePeerJoining', async () => {
  await open(message);
  await pc.setLocalDescription(await pc.createOffer());
  message({ type: 'offer', sdp: pc.localDescription.sdp });
});

socket.on('joined', () => {
  inside = true;
  message('hello');
});

socket.on('message', async (what) => {
  if (what?.type === 'offer') {
    await open(response);
    await pc.setRemoteDescription(what);
    await pc.setLocalDescription(await pc.createAnswer());
    response({ type: 'answer', sdp: pc.localDescription.sdp });
  } else if (what?.type === 'candidate') {
    await pc.addIceCandidate({ sdpMLineIndex: what.label, candidate: what.candidate });
  }
});

socket.on('response', async (what) => {
  if (what?.type === 'answer') await pc.setRemoteDescription(what);
  else if (what?.type === 'candidate') {
    await pc.addIceCandidate({ sdpMLineIndex: what.label, candidate: what.candidate });
  }
});

socket.on('Bye', () => {
  pc?.close();
  pc = null;
  ended = true;
  socket.emit('Ack');
});

async function open(say) {
  const own = await camera;
  pc = new RTCPeerConnection();
  pc.onicecandidate = ({ candidate }) => {
    if (!candidate) return;
    say({ type: 'candidate', label: candidate.sdpMLineIndex, id: candidate.sdpMid, candidate: candidate.candidate });
  };
  pc.ontrack = ({ streams: [stream], track }) => {
    otherStream = stream ?? otherStream ?? new MediaStream();
    if (!otherStream.getTracks().includes(track)) otherStream.addTrack(track);
    document.querySelector('#other').srcObject = otherStream;
  };
  for (const track of own.getTracks()) pc.addTrack(track, own);
}

camera.then((stream) => {
  document.querySelector('#own').srcObject = stream;
  socket.emit('create or join', channel);
});

/** For whoever looks from outside. */
globalThis.page = {
  get inside() { return inside; },
  get ended() { return ended; },
  stateOf: () => pc?.connectionState ?? null,
  streamOf: () => otherStream,
  bye: () => socket.emit('Bye', channel),
};
