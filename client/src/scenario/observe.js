// Watches every RTCPeerConnection that a page makes: its states, its statistics, the marks in pictures that come.
//
// It has to run before the page's own scripts. rtcObserved.take() gives what there is to tell since the last time.
(() => {
  if (globalThis.rtcObserved || typeof globalThis.RTCPeerConnection !== 'function') return;
  const FIRST_MS = 100; // until the first picture or sound
  const EVERY_MS = 500;
  const MOST = 20_000; // entries that nobody takes; what comes then is left out
  const TOLD = new Set(['inbound-rtp', 'outbound-rtp', 'remote-inbound-rtp', 'remote-outbound-rtp', 'transport', 'data-channel']);

  const now = () => performance.timeOrigin + performance.now();
  let kept = [];
  const tell = (entry) => {
    if (kept.length < MOST) kept.push(entry);
  };

  /** What of a report is a quantity somewhere; of the pairs of candidates the one in use. */
  function plain(report) {
    const all = [...report.values()];
    const selected = all.find(({ type, selectedCandidatePairId }) => type === 'transport' && selectedCandidatePairId)?.selectedCandidatePairId;
    const inUse = (pair) => (selected ? pair.id === selected : pair.selected ?? pair.nominated);
    const out = {};
    for (const one of all) {
      if (TOLD.has(one.type)) out[one.id] = { ...one };
      else if (one.type === 'candidate-pair' && inUse(one)) out[one.id] = { ...one, nominated: true };
    }
    return out;
  }

  const media = (report) =>
    Object.values(report).some(({ type, framesDecoded, totalSamplesReceived }) => type === 'inbound-rtp' && (framesDecoded || totalSamplesReceived));

  function watch(connection, id) {
    tell({ id, at: now(), what: 'made' });
    connection.addEventListener('connectionstatechange', () => tell({ id, at: now(), what: 'state', state: connection.connectionState }));
    connection.addEventListener('track', ({ track }) => {
      if (track.kind !== 'video' || !globalThis.rtcMarks) return;
      // A copy: a track that is watched gives nothing a second time.
      rtcMarks.watch(track.clone(), (arrived, mark) =>
        tell({ id, at: arrived / 1000, what: 'picture', number: mark?.number ?? null, age: mark ? (arrived - mark.at) / 1000 : null }),
      );
    });
    let began = false;
    const look = async () => {
      if (connection.connectionState === 'closed') return;
      try {
        const report = plain(await connection.getStats());
        began ||= media(report);
        tell({ id, at: now(), what: 'stats', report });
      } catch {
        // Closed in between.
      }
      setTimeout(look, began ? EVERY_MS : FIRST_MS);
    };
    look();
  }

  let made = 0;
  class Observed extends globalThis.RTCPeerConnection {
    #id = (made += 1);

    constructor(...args) {
      super(...args);
      watch(this, this.#id);
    }

    close() {
      if (this.connectionState !== 'closed') tell({ id: this.#id, at: now(), what: 'state', state: 'closed' });
      super.close();
    }
  }
  Object.defineProperty(Observed, 'name', { value: 'RTCPeerConnection' });
  globalThis.RTCPeerConnection = Observed;
  if (globalThis.webkitRTCPeerConnection) globalThis.webkitRTCPeerConnection = Observed;
  globalThis.rtcObserved = {
    take() {
      const entries = kept;
      kept = [];
      return JSON.stringify({ origin: performance.timeOrigin, entries }); // which document tells
    },
  };
})();
