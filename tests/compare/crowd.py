"""Crowds: calls of two that all send the same prepared picture and sound, and what one peer costs."""

import json
import subprocess
import sys
import time

import calls
import rig

SIZE, FPS, BITRATE = "640x360", 30, 500_000
SETTLE = 5
# As many as the processor bears, and few.
ROWS = [("rtc-client load calls", 10), ("rtc-client load calls", 50), ("aiortc", 1), ("aiortc", 3), ("Chromium", 1), ("Chromium", 3)]


def prepared():
    """Two seconds, encoded once, for who can send what is encoded already."""
    file = rig.FOLDER / "crowd.webm"
    if not file.exists():
        subprocess.run(
            ["ffmpeg", "-loglevel", "error", "-y", "-i", rig.clip(SIZE), "-f", "lavfi", "-i", "sine=440:sample_rate=48000", "-t", "2",
             "-c:v", "libvpx", "-deadline", "realtime", "-b:v", str(BITRATE), "-g", "60",
             "-c:a", "libopus", "-b:a", "32k", file],
            check=True,
        )
    return file


def ours(count, seconds):
    with rig.Server() as server:
        command = [rig.BINARIES / "rtc-client", "load", "calls", "--server", server.url, "--rooms", count, "--json", "--quiet",
                   "--size", SIZE, "--fps", FPS, "--bitrate", BITRATE, "--duration", f"{seconds + 2 * SETTLE}s"]
        process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            # Ten rooms are opened each second.
            time.sleep(count / 10 + SETTLE)
            cost = spent(process.pid, seconds)
            told, _ = process.communicate(timeout=rig.PATIENCE)
        finally:
            process.kill()
            process.wait()
    told = json.loads(told)
    peers, length = told["calls"]["peers"], told["seconds"]
    if told["calls"]["connected"] != count or told["frames"]["wrong"] or told["frames"]["missing"]:
        raise RuntimeError(f"not all came as it was sent: {told['calls']}, {told['frames']}, {told['failures']}")
    # Sounds are frames, too, fifty a second.
    fps = told["frames"]["exact"] / peers / length - 50
    return {**cost, "fps": fps, "kbit": told["receivedBitsPerSecond"] / 1000 / peers}


def spent(pid, seconds):
    pids = rig.family(pid)
    before, began = rig.cpu_seconds(pids), time.monotonic()
    time.sleep(seconds)
    return {"cores": (rig.cpu_seconds(pids) - before) / (time.monotonic() - began), "memory": rig.pss_mib(pids)}


def theirs(name, count, seconds):
    command = {
        "aiortc": [sys.executable, rig.HERE / "aiortc_crowd.py", prepared(), count],
        "Chromium": ["node", rig.HERE / "chromium.mjs", rig.clip(SIZE), 2 * count, BITRATE, calls.beeps(), "pairs"],
    }[name]
    process = rig.Lines(command)
    try:
        flowing = process.wait_for("flowing")
        time.sleep(SETTLE)
        process.say("restart")
        began = time.monotonic()
        cost = spent(flowing.get("pid", process.process.pid), seconds)
        process.say("end")
        result = process.wait_for("result")
        if "fps" not in result:
            # Of the first connection's one end.
            result["fps"] = result["pictures"] / (time.monotonic() - began)
    finally:
        process.end()
    return {**cost, "fps": result["fps"], "kbit": result["kbit"]}


def run(options):
    rows = []
    for name, count in ROWS:
        if options.only not in name:
            continue
        try:
            measured = (ours if name.startswith("rtc-client") else lambda *more: theirs(name, *more))(count, options.seconds)
        except RuntimeError as error:
            rig.show({"peer": name, "calls": count, "error": str(error)})
            rows.append([name, str(count), "failed", "", "", "", ""])
            continue
        rig.show({"peer": name, "calls": count, **measured})
        one = measured["cores"] / (2 * count)
        rows.append([
            name, str(count), f"{one * 100:.2f} %", rig.figure(1 / one), rig.figure(measured["memory"] / (2 * count), 1),
            rig.figure(measured["fps"], 1), rig.figure(measured["kbit"]),
        ])
    rig.table(["peers", "calls of two", "of a core, each", "peers a core", "PSS MiB, each", "pictures a second", "kbit/s received"], rows)
