'use strict';

// One calls another by name, as a reader of a WebSocket tutorial writes it.
// The address says who: /?name=alice&call=bob

const query = new URLSearchParams(location.search);
const name = query.get('name');
const socket = new WebSocket(`ws://${location.host}/`);
const send = (message) => socket.send(JSON.stringify(message));

let pc = null;
let other = null;
let stream = null;
let loggedIn = false;
const errors = [];

const camera = navigator.mediaDevices.getUserMedia({
  video: true,
  audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
});

async function open(whom) {
  other = whom;
  pc = new RTCPeerConnection();
  for (const track of (await camera).getTracks()) pc.addTrack(track, await camera);
  pc.onicecandidate = ({ candidate }) => candidate && send({ type: 'candidate', candidate, name: other });
  pc.ontrack = ({ streams: [first], track }) => {
    stream = first ?? stream ?? new MediaStream();
    if (!stream.getTracks().includes(track)) stream.addTrack(track);
    const video = document.querySelector('#other');
    if (video) video.srcObject = stream;
  };
}

async function call(whom) {
  await open(whom);
  await pc.setLocalDescription(await pc.createOffer());
  send({ type: 'offer', offer: pc.localDescription, name: whom });
}

socket.onopen = async () => {
  await camera;
  send({ type: 'login', name });
};

socket.onmessage = async ({ data }) => {
  const message = JSON.parse(data);
  switch (message.type) {
    case 'login':
      loggedIn = message.success;
      if (message.success && query.get('call')) await call(query.get('call'));
      break;
    case 'offer':
      await open(message.name);
      await pc.setRemoteDescription(message.offer);
      await pc.setLocalDescription(await pc.createAnswer());
      send({ type: 'answer', answer: pc.localDescription, name: message.name });
      break;
    case 'answer':
      await pc.setRemoteDescription(message.answer);
      break;
    case 'candidate':
      await pc.addIceCandidate(message.candidate);
      break;
    case 'leave':
      pc?.close();
      pc = null;
      stream = null;
      break;
    case 'error':
      errors.push(message.message);
      break;
    default:
  }
};

/** For whoever looks from outside. */
globalThis.page = {
  get loggedIn() { return loggedIn; },
  stateOf: () => pc?.connectionState ?? null,
  streamOf: () => stream,
  hangUp: () => {
    send({ type: 'leave', name: other });
    pc?.close();
    pc = null;
  },
  errors,
};
