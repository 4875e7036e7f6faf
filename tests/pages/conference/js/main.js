'use strict';

// A room of many, as a reader of a Socket.IO tutorial writes it: whoever is inside calls whoever comes.
// The address says where: /?room=foo&name=Ann

const query = new URLSearchParams(location.search);
const room = query.get('room') || 'foo';
const name = query.get('name') || 'Somebody';

const users = new Map(); // id to name
const connections = new Map(); // id to RTCPeerConnection
const streams = new Map(); // id to what comes from there
const heard = []; // what is no signaling
let me = null;

const socket = io();
const camera = navigator.mediaDevices.getUserMedia({
  video: true,
  audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
});

camera.then((stream) => {
  const own = document.querySelector('#own');
  if (own) own.srcObject = stream;
  socket.emit('join', room, name, (answer) => {
    if (!answer.ok) console.error(`join: ${answer.code}: ${answer.message}`);
  });
});

function connectionTo(id) {
  if (connections.has(id)) return connections.get(id);
  const pc = new RTCPeerConnection();
  connections.set(id, pc);
  pc.onicecandidate = ({ candidate }) => {
    if (!candidate) return;
    socket.emit('message', room, {
      type: 'candidate',
      label: candidate.sdpMLineIndex,
      id: candidate.sdpMid,
      candidate: candidate.candidate,
    }, id);
  };
  pc.ontrack = ({ streams: [stream], track }) => {
    const whole = stream ?? streams.get(id) ?? new MediaStream();
    if (!whole.getTracks().includes(track)) whole.addTrack(track);
    streams.set(id, whole);
    let video = document.getElementById(id);
    if (!video) {
      video = document.createElement('video');
      video.id = id;
      video.autoplay = true;
      video.playsInline = true;
      video.muted = true;
      document.body.append(video);
    }
    video.srcObject = whole;
  };
  return pc;
}

async function withTracks(pc) {
  const stream = await camera;
  if (pc.getSenders().every((sender) => !sender.track)) {
    for (const track of stream.getTracks()) pc.addTrack(track, stream);
  }
}

async function call(id) {
  const pc = connectionTo(id);
  await withTracks(pc);
  await pc.setLocalDescription(await pc.createOffer());
  socket.emit('message', room, { type: 'offer', sdp: pc.localDescription.sdp }, id);
}

function hangUp(id) {
  connections.get(id)?.close();
  connections.delete(id);
  streams.delete(id);
  document.getElementById(id)?.remove();
}

socket.on('joined', (_room, id, members) => {
  me = id;
  for (const member of members) users.set(member.id, member.name);
});

socket.on('otherjoin', (_room, id, who) => {
  users.set(id, who);
  call(id).catch((error) => console.log(`the call to ${who} went another way: ${error.message}`));
});

socket.on('message', async (_room, data, from) => {
  if (data?.type === 'offer') {
    const pc = connectionTo(from);
    await pc.setRemoteDescription(data);
    await withTracks(pc);
    await pc.setLocalDescription(await pc.createAnswer());
    socket.emit('message', room, { type: 'answer', sdp: pc.localDescription.sdp }, from);
  } else if (data?.type === 'answer') {
    await connectionTo(from).setRemoteDescription(data);
  } else if (data?.type === 'candidate') {
    await connectionTo(from).addIceCandidate({ sdpMLineIndex: data.label, candidate: data.candidate });
  } else {
    heard.push(data);
  }
});

socket.on('bye', (_room, id) => {
  users.delete(id);
  hangUp(id);
});

socket.on('leaved', () => [...connections.keys()].forEach(hangUp));
socket.on('full', (which) => console.error(`room ${which} is full`));
socket.on('error', ({ event, code, message }) => console.error(`${event}: ${code}: ${message}`));

/** For whoever looks from outside. */
globalThis.page = {
  idOf: (who) => [...users].find(([, known]) => known === who)?.[0] ?? null,
  stateOf: (who) => connections.get(page.idOf(who))?.connectionState ?? null,
  streamOf: (who) => streams.get(page.idOf(who)) ?? null,
  get me() { return me; },
  get users() { return [...users.values()]; },
  heard,
  socket,
};
