// Connection quality in a few figures, taken from getStats (W3C webrtc-stats).

/**
 * Turns two snapshots of a report into figures.
 *
 * `now` and `before` are `{at, stats: Map}`; `before` may be null at the first look.
 */
export function summarize(now, before) {
  const seconds = before ? (now.at - before.at) / 1000 : 0;
  const all = [...now.stats.values()];
  const rate = (stat, field) => {
    const old = before?.stats.get(stat.id);
    return old && seconds > 0 ? Math.max(0, (stat[field] - old[field]) / seconds) : null;
  };
  const kbps = (stat, field) => {
    const bytes = stat && rate(stat, field);
    return bytes === null || bytes === undefined ? null : Math.round((bytes * 8) / 1000);
  };
  const of = (type, kind) => all.find((stat) => stat.type === type && (!kind || stat.kind === kind));
  const codec = (stat) => now.stats.get(stat?.codecId)?.mimeType?.split('/')[1] ?? null;
  const picture = (stat, bytes, frames) =>
    stat && {
      kbps: kbps(stat, bytes),
      fps: stat.framesPerSecond ?? rate(stat, frames),
      width: stat.frameWidth ?? null,
      height: stat.frameHeight ?? null,
      codec: codec(stat),
      frames: stat[frames] ?? 0,
    };
  const sound = (stat, bytes) => stat && { kbps: kbps(stat, bytes), codec: codec(stat) };

  const transport = of('transport');
  const pair = now.stats.get(transport?.selectedCandidatePairId) ?? all.find((stat) => stat.type === 'candidate-pair' && stat.nominated);
  const videoIn = of('inbound-rtp', 'video');
  const audioIn = of('inbound-rtp', 'audio');
  const rtt = pair?.currentRoundTripTime ?? of('remote-inbound-rtp')?.roundTripTime;
  const figures = {
    rttMs: rtt === undefined ? null : rtt * 1000,
    jitterMs: Math.max(0, ...[videoIn, audioIn].map((stat) => (stat?.jitter ?? 0) * 1000)),
    lossPercent: loss([videoIn, audioIn], before),
    audioLevel: audioIn?.audioLevel ?? 0,
    path: path(now.stats, pair),
    receive: { video: picture(videoIn, 'bytesReceived', 'framesDecoded') ?? null, audio: sound(audioIn, 'bytesReceived') ?? null },
    send: {
      video: picture(of('outbound-rtp', 'video'), 'bytesSent', 'framesEncoded') ?? null,
      audio: sound(of('outbound-rtp', 'audio'), 'bytesSent') ?? null,
    },
    freezes: videoIn?.freezeCount ?? 0,
  };
  return { ...figures, quality: grade(figures) };
}

// Lost among expected since the last look, in percent; null when nothing was expected.
function loss(streams, before) {
  let lost = 0;
  let received = 0;
  for (const stat of streams) {
    if (!stat) continue;
    const old = before?.stats.get(stat.id);
    lost += (stat.packetsLost ?? 0) - (old?.packetsLost ?? 0);
    received += (stat.packetsReceived ?? 0) - (old?.packetsReceived ?? 0);
  }
  const expected = Math.max(0, lost) + received;
  return expected > 0 ? (100 * Math.max(0, lost)) / expected : null;
}

function path(stats, pair) {
  const local = stats.get(pair?.localCandidateId);
  const remote = stats.get(pair?.remoteCandidateId);
  if (!local || !remote) return null;
  return `${local.candidateType} to ${remote.candidateType}, ${local.relayProtocol ?? local.protocol}`;
}

/** good, fair, poor: the borders at which talk gets tiresome and then hard. */
export function grade({ rttMs, lossPercent, jitterMs }) {
  const worst = (fair, poor, value) => (value === null ? 0 : value > poor ? 2 : value > fair ? 1 : 0);
  const score = Math.max(worst(250, 500, rttMs), worst(2, 8, lossPercent), worst(40, 100, jitterMs));
  return ['good', 'fair', 'poor'][score];
}

/** Looks at one connection again and again. */
export class PeerStats {
  latest = null;
  #pc;
  #before = null;

  constructor(pc) {
    this.#pc = pc;
  }

  async poll() {
    const report = await this.#pc.getStats();
    const now = { at: performance.now(), stats: new Map(report.entries()) };
    this.latest = summarize(now, this.#before);
    this.#before = now;
    return this.latest;
  }
}
