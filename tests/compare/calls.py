"""Calls of each peer with itself: VP8 and Opus both ways at 30 pictures a second and 1.5 Mbit/s."""

import sys
import time
import wave

import numpy as np

import rig

BITRATE = 1_500_000
SETTLE = 5


def beeps():
    """Ten seconds of a beep of 100 ms at each whole second."""
    file = rig.FOLDER / "beeps.wav"
    t = np.arange(48_000) / 48_000
    second = np.where(t < 0.1, 12_000 * np.sin(2 * np.pi * 1_000 * t), 0).astype(np.int16)
    with wave.open(str(file), "wb") as out:
        out.setparams((1, 2, 48_000, 0, "NONE", ""))
        out.writeframes(np.tile(second, 10).tobytes())
    return file


def command(name, size, peers, watched):
    clip = rig.clip(size)
    return {
        "libwebrtc (@roamhq/wrtc)": ["node", rig.HERE / "wrtc.mjs", clip, peers, BITRATE],
        "Chromium": ["node", rig.HERE / "chromium.mjs", clip, peers, BITRATE, beeps(), "watched" if watched else "bare"],
        "GStreamer webrtcbin": [sys.executable, rig.HERE / "gstreamer_peer.py", clip, peers, BITRATE],
        "aiortc": [sys.executable, rig.HERE / "aiortc_peer.py", clip, peers, BITRATE],
    }[name]


OTHERS = ["libwebrtc (@roamhq/wrtc)", "Chromium", "GStreamer webrtcbin", "aiortc"]


def theirs(name, size, peers, seconds):
    cost = with_itself(name, size, peers, seconds, False)
    if name == "Chromium":
        # Looking at every picture costs the page time: delays come from a call of their own.
        seen = with_itself(name, size, peers, seconds, True)
        cost.update(video=seen["video"], audio=seen["audio"], missing=seen["missing"])
    return cost


def with_itself(name, size, peers, seconds, watched):
    process = rig.Lines(command(name, size, peers, watched))
    try:
        flowing = process.wait_for("flowing")
        # The driver of a browser is not the browser.
        pid = flowing.get("pid", process.process.pid)
        time.sleep(SETTLE)
        pids = rig.family(pid)
        process.say("restart")
        before, began = rig.cpu_seconds(pids), time.monotonic()
        time.sleep(seconds)
        spent = rig.cpu_seconds(pids) - before
        minutes = (time.monotonic() - began) / 60
        memory = rig.pss_mib(pids)
        process.say("end")
        result = process.wait_for("result")
    finally:
        process.end()
    return {
        "cpu": spent / minutes / peers,
        "memory": memory / peers,
        "fps": result["pictures"] / (minutes * 60),
        **{key: result[key] for key in ("missing", "video", "audio", "kbit")},
    }


def ours(size, peers, seconds):
    with rig.Server() as server:
        clients = []
        try:
            for n in range(peers):
                clients.append(server.client("calls", "--size", size, "--bitrate", BITRATE, "--codec", "vp8", "--duration", f"{seconds + 2 * SETTLE + 20}s"))
                clients[-1].wait_for("joined")
            for one in clients:
                one.wait_for("first-frame")
            time.sleep(SETTLE)
            pids = [one.process.pid for one in clients]
            before, began = rig.cpu_seconds(pids), time.monotonic()
            counts = stats(clients[1])
            time.sleep(seconds)
            spent = rig.cpu_seconds(pids) - before
            minutes = (time.monotonic() - began) / 60
            memory = sum(rig.pss_mib([pid]) for pid in pids)
            after = stats(clients[1])
            clients[1].process.terminate()
            summary = clients[1].wait_for("summary")
        finally:
            for one in clients:
                one.end()
    peer = summary["peers"][0]
    marks, tone = peer["marks"], peer["tone"]
    span = after["timestamp"] - counts["timestamp"]
    return {
        "cpu": spent / minutes / peers,
        "memory": memory / peers,
        "fps": (after["framesDecoded"] - counts["framesDecoded"]) / span * 1000,
        "missing": marks["missing"],
        "video": {"p50": marks["latencyMsP50"], "p99": marks["latencyMsP99"]},
        "audio": {"p50": tone.get("latencyMsP50"), "p99": tone.get("latencyMsP99")},
        "kbit": (after["bytesReceived"] - counts["bytesReceived"]) * 8 / span,
    }


def stats(client):
    """The newest report's inbound picture."""
    while not client.lines.empty():
        client.lines.get()
    report = client.wait_for("stats")["report"]
    return next(s for s in report.values() if s["type"] == "inbound-rtp" and s["kind"] == "video")


def run(options):
    rows = []
    for size, peers in (("640x360", 2), ("1280x720", 2), ("640x360", 4)):
        for name in ["rtc-client", *OTHERS]:
            if options.only not in name or (peers > 2 and name.startswith("GStreamer")):
                continue
            try:
                measured = ours(size, peers, options.seconds) if name == "rtc-client" else theirs(name, size, peers, options.seconds)
            except RuntimeError as error:
                rig.show({"size": size, "peers": peers, "peer": name, "error": str(error)})
                rows.append([f"{size}, {peers}", name, "failed", "", "", "", "", ""])
                continue
            rig.show({"size": size, "peers": peers, "peer": name, **measured})
            video, audio = measured["video"], measured["audio"]
            rows.append([
                f"{size}, {peers}", name, rig.figure(measured["cpu"], 1), rig.figure(measured["memory"]), rig.figure(measured["fps"], 1), rig.figure(measured["missing"]),
                f"{rig.figure(video['p50'])}, {rig.figure(video['p99'])}", f"{rig.figure(audio['p50'])}, {rig.figure(audio['p99'])}",
            ])
    rig.table(["size, peers", "peer", "CPU s a minute", "PSS MiB", "pictures a second", "missing", "picture p50, p99 ms", "sound p50, p99 ms"], rows)
