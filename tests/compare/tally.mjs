// What one receiver of marked pictures and beeps saw: delays, and pictures that never came.
export class Tally {
  constructor(clip) {
    this.clip = clip; // pictures in the clip, sent over and over
    this.sent = new Map(); // number in the clip -> when it went out last
    this.delays = [];
    this.pictures = 0;
    this.last = null;
    this.missing = 0;
    this.beeps = [];
    this.quiet = true;
  }

  send(number, now) {
    this.sent.set(number, now);
  }

  see(number, now) {
    this.pictures += 1;
    const at = this.sent.get(number);
    if (at === undefined) return;
    this.delays.push(now - at);
    if (this.last !== null) {
      const step = (number - this.last + this.clip) % this.clip;
      if (step > 1 && step < this.clip / 2) this.missing += step - 1;
    }
    this.last = number;
  }

  /** Mono samples of -1..1 or of i16, whose first is heard `now`; beeps begin at whole seconds of `epoch`. */
  hear(samples, rate, now, loud, epoch) {
    for (let i = 0; i < samples.length; i++) {
      const is = Math.abs(samples[i]) > loud;
      if (is && this.quiet) {
        const at = now + (i / rate) * 1000;
        this.beeps.push((((at - epoch) % 1000) + 1000) % 1000);
        this.quiet = false;
        this.silent = 0;
      } else if (!is && !this.quiet && ++this.silent > rate / 4) {
        this.quiet = true;
      } else if (is) {
        this.silent = 0;
      }
    }
  }

  result() {
    const part = (all, share) => {
      const sorted = [...all].sort((a, b) => a - b);
      return sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] : null;
    };
    return {
      pictures: this.pictures,
      missing: this.missing,
      video: { p50: part(this.delays, 0.5), p99: part(this.delays, 0.99) },
      audio: { p50: part(this.beeps, 0.5), p99: part(this.beeps, 0.99) },
    };
  }

  /** Forgets what was measured, for the run proper. */
  restart() {
    this.delays = [];
    this.beeps = [];
    this.pictures = 0;
    this.missing = 0;
  }
}
