// A WHIP publisher and WHEP player in a browser, as a page of another maker would have them. For tests.
globalThis.rtcWhip = {
  pc: null,
  session: null,
  etag: null,

  /** Sends the browser's camera and microphone to `url`; the offer goes out before any candidate is known. */
  async publish(url) {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false }, video: true });
    const pc = (this.pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' }));
    for (const track of stream.getTracks()) pc.addTransceiver(track, { direction: 'sendonly', streams: [stream] });
    return this.begin(url);
  },

  /** Receives from `url`; `stream` has what came. */
  async play(url) {
    const pc = (this.pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' }));
    const stream = new MediaStream();
    for (const kind of ['audio', 'video']) pc.addTransceiver(kind, { direction: 'recvonly' });
    pc.ontrack = ({ track }) => stream.addTrack(track);
    const video = (this.video = document.createElement('video'));
    Object.assign(video, { muted: true, autoplay: true, srcObject: stream });
    return this.begin(url);
  },

  async begin(url) {
    const pc = this.pc;
    const lines = [];
    pc.onicecandidate = ({ candidate }) => {
      const line = candidate ? `a=${candidate.candidate}` : 'a=end-of-candidates';
      if (this.session) this.patch(line, this.etag);
      else lines.push(line);
    };
    await pc.setLocalDescription();
    const response = await fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: pc.localDescription.sdp });
    if (response.status !== 201) throw new Error(`${response.status}: ${await response.text()}`);
    this.session = new URL(response.headers.get('Location'), url).href;
    this.etag = response.headers.get('ETag');
    await pc.setRemoteDescription({ type: 'answer', sdp: await response.text() });
    if (lines.length > 0) await this.patch(lines.join('\r\n'), this.etag);
    return response.status;
  },

  patch(lines, tag, credentials = '') {
    const mid = this.pc.getTransceivers()[0].mid;
    const body = `${credentials}m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:${mid}\r\n${lines}\r\n`;
    const headers = { 'Content-Type': 'application/trickle-ice-sdpfrag', 'If-Match': tag };
    return fetch(this.session, { method: 'PATCH', headers, body });
  },

  /** Restarts ICE with all candidates at once; gives the status. */
  async restart() {
    const pc = this.pc;
    const found = [];
    const gathered = new Promise((resolve) => {
      pc.onicecandidate = ({ candidate }) => (candidate ? found.push(`a=${candidate.candidate}`) : resolve());
    });
    await pc.setLocalDescription(await pc.createOffer({ iceRestart: true }));
    await gathered;
    const own = pc.localDescription.sdp;
    const credentials = [/^a=ice-ufrag:.*\r\n/m, /^a=ice-pwd:.*\r\n/m].map((line) => line.exec(own)[0]).join('');
    const response = await this.patch(`${found.join('\r\n')}\r\na=end-of-candidates`, '*', credentials);
    if (response.status !== 200) return response.status;
    const fragment = await response.text();
    this.etag = response.headers.get('ETag');
    const [ufrag] = /^a=ice-ufrag:.*\r\n/m.exec(fragment);
    const [pwd] = /^a=ice-pwd:.*\r\n/m.exec(fragment);
    const candidates = fragment.match(/^a=candidate:.*\r\n/gm) ?? [];
    // Everything but ICE stays as it was negotiated.
    const sdp = pc.currentRemoteDescription.sdp
      .replace(/^a=(candidate:.*|end-of-candidates)\r\n/gm, '')
      .replace(/^a=ice-ufrag:.*\r\n/gm, ufrag)
      .replace(/^a=ice-pwd:.*\r\n/gm, pwd)
      .replace(/^a=mid:.*\r\n/m, (mid) => mid + candidates.join(''));
    await pc.setRemoteDescription({ type: 'answer', sdp });
    return response.status;
  },

  async stop() {
    const { status } = await fetch(this.session, { method: 'DELETE' });
    this.pc.close();
    return status;
  },
};
