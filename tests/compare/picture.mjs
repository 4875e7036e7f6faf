// The test picture of client/src/media/capture/test_picture.rs and its mark (docs/marks.md), drawn and judged in a page.
// The picture is a function of number and size alone, so who has read the number knows what was sent.
const BARS = [[180, 128, 128], [162, 44, 142], [131, 156, 44], [112, 72, 58], [84, 184, 198], [65, 100, 212], [35, 212, 114], [48, 128, 128]];
const GRAIN = 16;
const DIGITS = [0b111101101101111, 0b010110010010111, 0b111001111100111, 0b111001111001111, 0b101101111001001, 0b111100111001111, 0b111100111101111, 0b111001010010010, 0b111101111101111, 0b111101111001111];

function hash(n) {
  n = Math.imul(n ^ (n >>> 16), 0x85ebca6b);
  n = Math.imul(n ^ (n >>> 13), 0xc2b2ae35);
  return (n ^ (n >>> 16)) >>> 0;
}

const grains = new Map();
function grain(width) {
  if (!grains.has(width)) grains.set(width, Uint8Array.from({ length: 2 * width }, (_, x) => hash(x) % (GRAIN + 1)));
  return grains.get(width);
}

const whole = Math.floor;

function bounce(way, span) {
  span = Math.max(1, span);
  way %= 2 * span;
  return way < span ? way : 2 * span - way;
}

/** `{ y, u, v }` of a picture without its mark. */
export function render(number, w, h) {
  const cw = (w + 1) >> 1;
  const ch = (h + 1) >> 1;
  const [y, u, v] = [new Uint8Array(w * h), new Uint8Array(cw * ch).fill(128), new Uint8Array(cw * ch).fill(128)];
  const shift = whole((number * w) / 960) & ~1;
  const bar = (x) => BARS[whole((((x + shift) % w) * 8) / w)];
  const from = whole((h * 3) / 4) & ~1;
  const bars = Uint8Array.from({ length: w }, (_, x) => bar(x)[0]);
  const ramp = Uint8Array.from({ length: w }, (_, x) => 16 + whole((((x + 2 * w - ((2 * shift) % w)) % w) * (219 - GRAIN)) / w));
  const noise = grain(w);
  for (let row = 0; row < from; row++) y.set(bars, row * w);
  for (let row = from; row < h; row++) {
    const at = hash((Math.imul(number, 8191) + row) >>> 0) % w;
    for (let x = 0; x < w; x++) y[row * w + x] = ramp[x] + noise[at + x];
  }
  for (const [plane, part] of [[u, 1], [v, 2]]) {
    const line = Uint8Array.from({ length: cw }, (_, x) => bar(2 * x)[part]);
    for (let row = 0; row < from >> 1; row++) plane.set(line, row * cw);
  }
  ball(y, u, v, number, w, h);
  digits(y, number, w, h);
  return { y, u, v };
}

function ball(y, u, v, number, w, h) {
  const [radius, top, cw] = [whole(h / 8), whole(h / 6), (w + 1) >> 1];
  const cx = radius + bounce(whole((number * w) / 128), w - 2 * radius);
  const cy = top + radius + bounce(whole((number * h) / 150), h - top - 2 * radius);
  for (let row = Math.max(0, cy - radius); row < Math.min(h, cy + radius); row++) {
    const half = whole(Math.sqrt(Math.max(0, radius * radius - (row - cy) * (row - cy))));
    const [from, to] = [Math.min(w, Math.max(0, cx - half)), Math.min(w, Math.max(0, cx + half))];
    y.fill(Math.abs(row - cy) % 16 < 8 ? 210 : 170, row * w + from, row * w + to);
    if (row % 2 !== 0) continue;
    const start = (row >> 1) * cw;
    u.fill(30, start + (from >> 1), start + (to >> 1));
    v.fill(170, start + (from >> 1), start + (to >> 1));
  }
}

function digits(y, number, w, h) {
  const dot = Math.min(whole(h / 48), whole(w / 32));
  if (dot === 0) return;
  const [left, top] = [(w >> 1) - whole((23 * dot) / 2), h >> 1];
  for (let row = top - dot; row < Math.min(h, top + 6 * dot); row++) y.fill(24, row * w + Math.max(0, left - dot), row * w + Math.min(w, left + 24 * dot));
  for (let place = 5, rest = number; place >= 0; place--, rest = whole(rest / 10)) {
    for (let bit = 0; bit < 15; bit++) {
      if (!((DIGITS[rest % 10] >> (14 - bit)) & 1)) continue;
      const x = left + (place * 4 + (bit % 3)) * dot;
      for (let row = top + whole(bit / 3) * dot, end = row + dot; row < end; row++) y.fill(224, row * w + x, row * w + x + dot);
    }
  }
}

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n >>> 0;
});

/** Rows of the band that the mark takes. */
export const band = (height) => whole((6 * height) / 45);

/** Puts a mark in: its number and, in microseconds since 1970, when it was taken. */
export function stamp({ y, u, v }, w, h, number, micros) {
  const hex = number.toString(16).padStart(8, '0') + micros.toString(16).padStart(14, '0');
  const bytes = hex.slice(0, 22).match(/../g).map((byte) => parseInt(byte, 16));
  // The time has 52 bits of the 56 that the checksum is over.
  const crc = ~bytes.reduce((sum, byte) => TABLE[(sum ^ byte) & 255] ^ (sum >>> 8), -1) >>> 0;
  const bits = number.toString(2).padStart(32, '0') + micros.toString(2).padStart(52, '0') + crc.toString(2).padStart(32, '0');
  const corners = { 0: '1', 39: '0', 80: '0', 119: '1' };
  for (let cell = 0, next = 0; cell < 120; cell++) {
    const white = (corners[cell] ?? bits[next++]) === '1';
    const [column, row] = [cell % 40, whole(cell / 40)];
    const [x0, x1] = [whole((column * w) / 40), whole(((column + 1) * w) / 40)];
    const [y0, y1] = [whole((row * 2 * h) / 45), whole(((row + 1) * 2 * h) / 45)];
    for (let line = y0; line < y1; line++) y.fill(white ? 235 : 16, line * w + x0, line * w + x1);
  }
  const [cw, rows] = [(w + 1) >> 1, (band(h) + 1) >> 1];
  u.fill(128, 0, rows * cw);
  v.fill(128, 0, rows * cw);
}

/** PSNR of luma beneath the band, dB. */
export function psnr(luma, stride, w, h, number) {
  const known = render(number, w, h).y;
  let sum = 0;
  for (let row = band(h); row < h; row++) {
    for (let x = 0; x < w; x++) {
      const d = luma[row * stride + x] - known[row * w + x];
      sum += d * d;
    }
  }
  const error = sum / ((h - band(h)) * w);
  return error === 0 ? 100 : Math.min(100, 10 * Math.log10((255 * 255) / error));
}
