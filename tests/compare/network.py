#!/usr/bin/env python3
"""Calls over bad paths: two of ours, two Chromium, ours to Chromium, behind the same TURN server and the same luck.

  network.py [ROW …] [--pairs ours,chromium,ours-chromium] [--bitrate N] [--seeds N] [--json FILE] [--list]

`scripts/measure-network` installs what it needs and runs it. One side sends the test picture of 640x360 (docs/marks.md), both send
sound; who sends the picture may only relay, and what lies between it and the relay is the path, in both directions.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time

import rig

LINE = "rate=2.5mbit,queue=200ms"
BASE = f"delay=20ms,{LINE}"


def lossy(loss, path=BASE):
    """Losses begin when the call stands: how it comes to stand is another matter."""
    return f"{path};2s:{loss}"


def row(path, seconds=20, harmed=None, healed=None):
    """`harmed` and `healed`: when the path becomes bad and good again."""
    return {"path": path, "seconds": seconds, "harmed": harmed, "healed": healed}


ROWS = {
    "loss-1": row(lossy("loss=1%")),
    "loss-5": row(lossy("loss=5%")),
    "loss-10": row(lossy("loss=10%")),
    "loss-20": row(lossy("loss=20%")),
    "delay-20": row(BASE),
    "delay-100": row(f"delay=100ms,{LINE}"),
    "delay-300": row(f"delay=300ms,{LINE}"),
    "rate-0.3": row("delay=20ms,rate=300kbit,queue=200ms"),
    "rate-1": row("delay=20ms,rate=1mbit,queue=200ms"),
    "rate-2.5": row("delay=20ms,rate=2.5mbit,queue=200ms"),
    "drop": row(f"{BASE};10s:rate=500kbit;18s:rate=2.5mbit", 30, 10, 18),
    "burst": row(lossy("burst=1%:25%")),
    "burst-long": row(lossy("burst=0.5%:10%")),
    "outage": row(f"{BASE};10s:loss=100%;12s:loss=0", 24, 10, 12),
    "reorder": row(lossy("reorder=5%,reorder-by=20ms")),
    "loss-10-delay-100": row(lossy("loss=10%", f"delay=100ms,{LINE}")),
}
PAIRS = ["ours", "chromium", "ours-chromium"]
HEAD = [
    "path", "sent by, seen by", "kbit/s", "s to 90 %", "s to come back", "frozen s", "PSNR-Y dB", "pictures a second", "delay p95 ms",
    "sound concealed %", "resent, FEC packets",
]


class Hop:
    """The TURN server behind the path."""

    def __init__(self, path, seed):
        self.address = f"127.0.0.1:{rig.free_port()}"
        self.process = rig.Lines([
            rig.BINARIES / "rtc-client", "impair", "--turn", self.address, "--turn-user", "ann:secret", "--impair", f"seed={seed},{path}", "--json",
        ], key="type")
        self.process.wait_for("listening")
        self.began = time.time()

    def summary(self):
        self.process.process.send_signal(signal.SIGINT)
        return self.process.wait_for("summary")


class Native:
    """What rtc-client received."""

    def __init__(self, client):
        self.client = client
        self.samples = []

    def sample(self):
        while not self.client.lines.empty():
            line = self.client.lines.get()
            if line is None:
                raise RuntimeError("the receiving rtc-client ended")
            if line.get("event") == "stats":
                kinds = {s["kind"]: s for s in line["report"].values() if s["type"] == "inbound-rtp"}
                self.samples.append(kinds)

    def result(self):
        self.sample()
        self.client.process.terminate()
        peer = self.client.wait_for("summary")["peers"][0]
        marks = peer["marks"] or {}
        return {
            "pictures": marks.get("read", 0), "unreadable": marks.get("unreadable", 0), "psnr": marks.get("psnrDb"),
            "delayP50": marks.get("latencyMsP50"), "delayP95": marks.get("latencyMsP95"),
        }


class Page:
    """What a page received."""

    def __init__(self, process):
        self.process = process
        self.samples = []

    def sample(self):
        self.process.say("sample")
        self.samples.append(self.process.wait_for("sample"))

    def result(self):
        self.process.say("end")
        return self.process.wait_for("result")


def native(server, bitrate, *more):
    return server.client("path", "--codec", "vp8", "--bitrate", bitrate, "--audio", "tone", *more)


def relayed(hop):
    return ["--relay-only", "--ice-server", f"turn:{hop.address}?transport=udp,ann,secret"]


def one(pair, asked, seed, bitrate):
    """Runs one call and gives its figures."""
    processes = []
    with rig.Server() as server:
        try:
            if pair == "chromium":
                page = rig.Lines(["node", rig.HERE / "network.mjs", "call", bitrate])
                processes.append(page)
                page.wait_for("ready")
                hop = Hop(asked["path"], seed)
                processes.append(hop.process)
                page.say(f"go turn:{hop.address}?transport=udp ann secret")
                page.wait_for("gone")
                seen = Page(page)
            else:
                if pair == "ours-chromium":
                    address = f"{server.page}/path?name=page&autojoin=1&processing=0&video=0"
                    page = rig.Lines(["node", rig.HERE / "network.mjs", "page", bitrate, address])
                    processes.append(page)
                    page.wait_for("joined")
                    seen = Page(page)
                else:
                    near = native(server, bitrate, "--video", "none")
                    processes.append(near)
                    near.wait_for("joined")
                    seen = Native(near)
                hop = Hop(asked["path"], seed)
                processes.append(hop.process)
                far = native(server, bitrate, "--video", "test", "--size", "640x360", *relayed(hop))
                processes.append(far)
                far.wait_for("connected")
            end = hop.began + asked["seconds"]
            while time.time() < end:
                time.sleep(min(1, max(0, end - time.time())))
                seen.sample()
            result = seen.result()
            path = hop.summary()
        finally:
            for process in processes:
                process.end()
    return {**figures(seen.samples, asked, hop.began), **result, "path": {way: path[way] for way in ("up", "down")}}


def figures(samples, asked, began):
    """From the receiver's statistics of each second; times count from the path's beginning."""
    samples = [s for s in samples if s.get("video") and s.get("audio")]
    if len(samples) < 5:
        raise RuntimeError(f"only {len(samples)} reports with picture and sound")
    steps = []
    for before, after in zip(samples, samples[1:]):
        span = (after["video"]["timestamp"] - before["video"]["timestamp"]) / 1000
        if span > 0:
            kbit = (after["video"]["bytesReceived"] - before["video"]["bytesReceived"]) * 8 / 1000 / span
            steps.append((after["video"]["timestamp"] / 1000 - began, kbit))
    last, first = samples[-1], samples[1]
    # The path's changes apart, the second half is what the peers settled at.
    harmed, healed = asked["harmed"], asked["healed"]
    settled = [k for t, k in steps if (4 < t <= harmed if harmed else t > asked["seconds"] / 2)]
    rate = statistics.mean(settled) if settled else None
    reached = next((t for t, k in steps if rate and k >= 0.9 * rate), None)
    back = next((t - healed for t, k in steps if healed and rate and t > healed and k >= 0.9 * rate), None)
    while_harmed = [k for t, k in steps if harmed and harmed + 2 < t <= healed]
    played = last["audio"]["totalSamplesReceived"] - first["audio"]["totalSamplesReceived"]
    concealed = last["audio"]["concealedSamples"] - first["audio"]["concealedSamples"]
    video = last["video"]
    span = (video["timestamp"] - samples[0]["video"]["timestamp"]) / 1000
    return {
        "kbit": rate,
        "kbitWhileHarmed": statistics.mean(while_harmed) if while_harmed else None,
        "reachedAfter": reached,
        "backAfter": back,
        "frozen": video.get("totalFreezesDuration", 0),
        "freezes": video.get("freezeCount", 0),
        "fps": (video["framesDecoded"] - samples[0]["video"]["framesDecoded"]) / span if span > 0 else None,
        "concealed": 100 * concealed / played if played else None,
        "resent": video.get("retransmittedPacketsReceived", 0),
        "fec": video.get("fecPacketsReceived", 0),
        "nacks": video.get("nackCount", 0),
        "plis": video.get("pliCount", 0),
        "kbitBySecond": [round(k) for _, k in steps],
    }


def cells(name, pair, got):
    def mean(key):
        values = [g[key] for g in got if g.get(key) is not None]
        return statistics.mean(values) if values else None

    rate = rig.figure(mean("kbit"))
    if mean("kbitWhileHarmed") is not None and "drop" in name:
        rate += f", then {rig.figure(mean('kbitWhileHarmed'))}"
    sender, _, receiver = pair.partition("-")
    return [
        name, f"{sender}, {receiver or sender}", rate, rig.figure(mean("reachedAfter"), 1), rig.figure(mean("backAfter"), 1),
        rig.figure(mean("frozen"), 2), rig.figure(mean("psnr"), 1), rig.figure(mean("fps"), 1), rig.figure(mean("delayP95")),
        rig.figure(mean("concealed"), 1), f"{rig.figure(mean('resent'))}, {rig.figure(mean('fec'))}",
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="only these, or those that begin so (loss, delay, …)")
    parser.add_argument("--pairs", default=",".join(PAIRS), help="which of ours, chromium, ours-chromium")
    parser.add_argument("--bitrate", type=int, default=2_500_000, help="bits a second that the picture may take at most")
    parser.add_argument("--seeds", type=int, default=1, help="calls for each row, each with its own luck; the table has the means")
    parser.add_argument("--json", default=rig.FOLDER / "network.json", help="where all figures go")
    parser.add_argument("--list", action="store_true", help="print the rows and what path each is")
    options = parser.parse_args()
    if options.list:
        for name, asked in ROWS.items():
            print(f"{name:18} {asked['seconds']} s  {asked['path']}")
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    unknown = [r for r in options.rows if not any(name.startswith(r) for name in ROWS)]
    pairs = options.pairs.split(",")
    unknown += [p for p in pairs if p not in PAIRS]
    if unknown:
        parser.error(f"there is no '{unknown[0]}'; rows: {', '.join(ROWS)}; pairs: {', '.join(PAIRS)}")
    load = os.getloadavg()[0]
    if load > 1:
        print(f"the machine is not quiet (load {load:.1f}): the figures say less", file=sys.stderr)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=rig.ROOT, capture_output=True, text=True).stdout.strip()
    everything, table = [], []
    for name, asked in ROWS.items():
        if options.rows and not any(name.startswith(r) for r in options.rows):
            continue
        for pair in pairs:
            got = []
            for seed in range(7, 7 + options.seeds):
                try:
                    got.append(one(pair, asked, seed, options.bitrate))
                except (RuntimeError, KeyError) as error:
                    everything.append(rig.show({"row": name, "pair": pair, "seed": seed, "error": str(error)}))
                    continue
                everything.append(rig.show({"row": name, "pair": pair, "seed": seed, **got[-1]}))
            table.append(cells(name, pair, got) if got else [name, pair, "failed", *[""] * (len(HEAD) - 3)])
    rig.table(HEAD, table)
    with open(options.json, "w") as out:
        json.dump({"commit": commit, "load": load, "paths": {n: ROWS[n]["path"] for n in ROWS}, "calls": everything}, out, indent=1)


main()
