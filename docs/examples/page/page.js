// A call of two, as short as it can be: rtc.v1 over a WebSocket (docs/protocol/rtc.v1.md). The address says where: /?room=foo&name=ann

const asked = new URLSearchParams(location.search);
const room = asked.get('room') ?? 'foo';
const state = document.querySelector('#state');
const far = document.querySelector('#far');
const own = document.querySelector('#own');

const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 640, height: 360 } });
own.srcObject = stream;

const socket = new WebSocket(`ws${location.protocol.slice(4)}//${location.host}/ws`, 'rtc.v1');
const say = (message) => socket.send(JSON.stringify(message));
let call = null;

/** A connection to one peer, by perfect negotiation (W3C webrtc-pc, section 10.7). */
function connect(peer, iceServers, polite) {
  const connection = new RTCPeerConnection({ iceServers });
  const send = (signal) => say({ type: 'signal', room, to: peer, signal });
  let making = false;
  let ignored = false;
  let added = false;
  connection.ontrack = ({ streams: [stream] }) => (far.srcObject = stream);
  connection.onicecandidate = ({ candidate }) => send({ candidate: candidate?.toJSON() ?? null });
  connection.onconnectionstatechange = () => (state.textContent = connection.connectionState);
  connection.onnegotiationneeded = async () => {
    making = true;
    try {
      await connection.setLocalDescription();
      send({ description: connection.localDescription });
    } finally {
      making = false;
    }
  };
  const take = async ({ description, candidate, restart }) => {
    if (restart) return connection.restartIce();
    if (!description) {
      if (candidate && !ignored) await connection.addIceCandidate(candidate);
      return;
    }
    ignored = !polite && description.type === 'offer' && (making || connection.signalingState !== 'stable');
    if (ignored) return;
    await connection.setRemoteDescription(description);
    // Our tracks go into the answer: who waits offers nothing of its own.
    add();
    if (description.type !== 'offer') return;
    await connection.setLocalDescription();
    send({ description: connection.localDescription });
  };
  const add = () => {
    if (!added) stream.getTracks().forEach((track) => connection.addTrack(track, stream));
    added = true;
  };
  if (polite) add();
  // One signal after the other.
  let last = Promise.resolve();
  return { peer, close: () => connection.close(), take: (signal) => (last = last.then(() => take(signal))) };
}

function leave() {
  call?.close();
  call = null;
  far.srcObject = null;
  state.textContent = 'alone';
}

let iceServers = [];
socket.onopen = () => say({ type: 'hello', name: asked.get('name') ?? 'page' });
socket.onmessage = ({ data }) => {
  const message = JSON.parse(data);
  switch (message.type) {
    case 'welcome':
      iceServers = message.iceServers;
      say({ type: 'join', room, capacity: 2 });
      break;
    case 'joined':
      state.textContent = 'alone';
      // Who comes offers, and is polite.
      for (const { peer } of message.members) call = connect(peer, iceServers, true);
      break;
    case 'peer-joined':
      leave();
      call = connect(message.member.peer, iceServers, false);
      break;
    case 'peer-left':
      if (call?.peer === message.peer) leave();
      break;
    case 'signal':
      if (call?.peer === message.from) call.take(message.signal);
      break;
    case 'ping':
      say({ type: 'pong', t: message.t });
      break;
    case 'error':
      console.error(message.message);
      break;
  }
};

document.querySelector('#mute').onclick = () => stream.getAudioTracks().forEach((track) => (track.enabled = !track.enabled));
document.querySelector('#leave').onclick = () => {
  say({ type: 'leave', room });
  socket.close();
  leave();
};
