// The number in a marked picture (docs/marks.md), read cheaply: the middle of each of its 32 cells.
// A wrong number is told apart by whoever knows which numbers were sent.
const COLUMNS = 40;

export function number(luma, stride, width, height) {
  let value = 0;
  let cell = 0;
  for (let bit = 0; bit < 32; bit++) {
    do cell++; while (cell === 39 || cell === 80);
    const x = Math.floor((((cell % COLUMNS) + 0.5) * width) / COLUMNS);
    const y = Math.floor(((Math.floor(cell / COLUMNS) + 0.5) * 2 * height) / 45);
    value = value * 2 + (luma[y * stride + x] > 125 ? 1 : 0);
  }
  return value;
}
