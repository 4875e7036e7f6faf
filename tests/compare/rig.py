"""Processes to measure: rtc-server, rtc-client, and scripts that call with themselves."""

import json
import os
import queue
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FOLDER = Path(os.environ.get("COMPARE", ROOT / "target/compare"))
BINARIES = Path(os.environ.get("COMPARE_BINARIES", ROOT / "target/release"))
TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE = 60


class Lines:
    """A process whose standard output is JSON, one object a line."""

    def __init__(self, command, env=None, key="event"):
        self.command = command
        # Under which key a line says what it is.
        self.key = key
        self.log = open(FOLDER / "stderr.log", "ab")
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env={**os.environ, "COMPARE_MODULES": str(FOLDER), **(env or {})},
            start_new_session=True,
        )
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            try:
                self.lines.put(json.loads(line))
            except ValueError:
                continue
        self.lines.put(None)

    def wait_for(self, event, patience=PATIENCE):
        end = time.monotonic() + patience
        while True:
            try:
                line = self.lines.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                raise RuntimeError(f"{self.command[:2]}: no '{event}' within {patience} s (see {self.log.name})") from None
            if line is None:
                raise RuntimeError(f"{self.command[:2]} ended without '{event}' (see {self.log.name})")
            if line.get(self.key) == event:
                return line

    def say(self, text):
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def end(self):
        # A browser has a session of its own and outlives its driver: all below are ended, the driver last.
        if self.process.poll() is None:
            for pid in reversed(family(self.process.pid)):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
        self.process.wait()


def family(pid):
    """`pid` and all below it."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                text = open(f"/proc/{entry}/stat").read()
            except OSError:
                continue
            parents.setdefault(int(text.rsplit(")", 1)[1].split()[1]), []).append(int(entry))
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        todo += parents.get(one, [])
    return found


def cpu_seconds(pids):
    total = 0.0
    for pid in pids:
        try:
            fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += (int(fields[11]) + int(fields[12])) / TICKS
    return total


def pss_mib(pids):
    """Proportional set size: memory that several share counts once."""
    total = 0
    for pid in pids:
        try:
            for line in open(f"/proc/{pid}/smaps_rollup"):
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        except OSError:
            continue
    return total / 1024


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    def __init__(self):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.page = f"http://localhost:{self.port}"
        self.process = subprocess.Popen(
            [BINARIES / "rtc-server", "--listen", f"127.0.0.1:{self.port}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                break
            except OSError:
                if time.monotonic() > end:
                    raise RuntimeError("rtc-server does not listen after 10 s") from None
                time.sleep(0.05)

    def client(self, room, *more):
        return Lines([BINARIES / "rtc-client", "join", room, "--headless", "--json", "--server", self.url, *more])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def clip(size):
    """The marked test picture as Y4M: 90 pictures."""
    file = FOLDER / f"{size}.y4m"
    if not file.exists():
        subprocess.run([BINARIES / "test-clip", file, size, "90"], check=True)
    return file


def show(row):
    print(json.dumps(row), flush=True)
    return row


def table(head, rows):
    print("\n| " + " | ".join(head) + " |")
    print("| " + " | ".join("---" for _ in head) + " |")
    for row in rows:
        print("| " + " | ".join(row) + " |")


def figure(value, digits=0):
    return "–" if value is None else f"{value:.{digits}f}"
