'use strict';

// Two in a room, as a reader of the codelab writes it: whoever made the room calls, once the other has its camera.
// The address says where: /?room=foo

const room = new URLSearchParams(location.search).get('room') || 'foo';
const socket = io();

let creator = false;
let another = false;
let started = false;
let full = false;
let ownStream = null;
let otherStream = null;
let pc = null;
const log = [];

const say = (message) => socket.emit('message', message);

socket.on('created', () => { creator = true; });
socket.on('full', () => { full = true; });
socket.on('join', () => { another = true; });
socket.on('joined', () => { another = true; });
socket.on('log', (words) => log.push(words));

socket.on('message', async (message) => {
  if (message === 'got user media') {
    await maybeStart();
  } else if (message.type === 'offer') {
    if (!creator && !started) await maybeStart();
    await pc.setRemoteDescription(message);
    await describe(await pc.createAnswer());
  } else if (message.type === 'answer' && started) {
    await pc.setRemoteDescription(message);
  } else if (message.type === 'candidate' && started) {
    await pc.addIceCandidate({ sdpMLineIndex: message.label, candidate: message.candidate });
  } else if (message === 'bye' && started) {
    stop();
    // Whoever stays makes the next call.
    creator = false;
  }
});

async function maybeStart() {
  if (started || !ownStream || !another) return;
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
  for (const track of ownStream.getTracks()) pc.addTrack(track, ownStream);
  started = true;
  if (creator) await describe(await pc.createOffer());
}

async function describe(description) {
  await pc.setLocalDescription(description);
  say({ type: description.type, sdp: description.sdp });
}

function stop() {
  started = false;
  pc?.close();
  pc = null;
  otherStream = null;
}

navigator.mediaDevices
  .getUserMedia({ video: true, audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } })
  .then(async (stream) => {
    ownStream = stream;
    document.querySelector('#own').srcObject = stream;
    say('got user media');
    if (creator) await maybeStart();
  });

socket.emit('create or join', room);
// Without a result: whatever is returned here is a question to the user.
window.onbeforeunload = () => { say('bye'); };

/** For whoever looks from outside. */
globalThis.page = {
  get me() { return socket.id; },
  get full() { return full; },
  get inside() { return creator || another; },
  stateOf: () => pc?.connectionState ?? null,
  streamOf: () => otherStream,
  log,
};
