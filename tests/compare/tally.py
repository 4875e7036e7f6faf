"""What one receiver of marked pictures and beeps saw. The marks: docs/marks.md."""

import re

import numpy as np

COLUMNS = 40
NUMBER_CELLS = [cell for cell in range(1, 36) if cell not in (39, 80)][:32]


def number(luma, width, height):
    """The number in a marked picture, from the middle of each of its 32 cells."""
    value = 0
    for cell in NUMBER_CELLS:
        x = int((cell % COLUMNS + 0.5) * width / COLUMNS)
        y = int((cell // COLUMNS + 0.5) * 2 * height / 45)
        value = value * 2 + (1 if luma[y, x] > 125 else 0)
    return value


class Clip:
    """The pictures of a Y4M file, in memory."""

    def __init__(self, file):
        self.data = open(file, "rb").read()
        header = self.data[: self.data.index(b"\n")].decode()
        self.width = int(re.search(r"W(\d+)", header)[1])
        self.height = int(re.search(r"H(\d+)", header)[1])
        self.first = len(header) + 1
        self.size = self.width * self.height * 3 // 2

    def __len__(self):
        return (len(self.data) - self.first) // (self.size + 6)

    def raw(self, n):
        at = self.first + n * (self.size + 6) + 6
        return self.data[at : at + self.size]

    def planes(self, n):
        return np.frombuffer(self.raw(n), np.uint8).reshape(self.height * 3 // 2, self.width)

    def luma(self, n):
        return self.planes(n)[: self.height]


class Tally:
    def __init__(self, clip):
        self.clip = clip
        self.sent = {}
        self.last = None
        self.quiet = True
        self.silent = 0
        self.restart()

    def restart(self):
        self.delays, self.beeps, self.pictures, self.missing = [], [], 0, 0

    def send(self, n, now):
        self.sent[n] = now

    def see(self, n, now):
        self.pictures += 1
        if n not in self.sent:
            return
        self.delays.append((now - self.sent[n]) * 1000)
        if self.last is not None:
            step = (n - self.last) % self.clip
            if 1 < step < self.clip / 2:
                self.missing += step - 1
        self.last = n

    def hear(self, samples, rate, now, loud, epoch):
        """Samples whose first is heard `now`; beeps begin at whole seconds of `epoch`."""
        above = np.flatnonzero(np.abs(samples) > loud)
        if len(above) and self.quiet:
            at = now + above[0] / rate
            self.beeps.append((at - epoch) % 1 * 1000)
            self.quiet = False
        if len(above):
            self.silent = len(samples) - above[-1]
        else:
            self.silent += len(samples)
        if self.silent > rate / 4:
            self.quiet = True

    def result(self):
        def part(values, share):
            ordered = sorted(values)
            return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None

        return {
            "pictures": self.pictures,
            "missing": self.missing,
            "video": {"p50": part(self.delays, 0.5), "p99": part(self.delays, 0.99)},
            "audio": {"p50": part(self.beeps, 0.5), "p99": part(self.beeps, 0.99)},
        }
