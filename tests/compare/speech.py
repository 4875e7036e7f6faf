"""Speech through loss, scored by PESQ (ITU-T P.862.2, wide band) and STOI, by who sent and who played it."""

import subprocess
import time
import wave

import numpy as np
from pesq import pesq
from pystoi import stoi
from scipy.signal import fftconvolve, resample_poly

import rig

RATE = 16_000
LOSSES = [0, 5, 10, 20]
SEEDS = [1, 2, 3]
TEXT = """The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background.
It is easy to tell the depth of a well. These days a chicken leg is a rare dish.
Rice is often served in round bowls. The juice of lemons makes fine punch."""


def voice():
    """About 18 seconds of the Harvard sentences (IEEE 269) by a machine's voice, 48 kHz."""
    file, plain = rig.FOLDER / "speech.wav", rig.FOLDER / "speech-22k.wav"
    if not file.exists():
        subprocess.run(["espeak-ng", "-v", "en-us", "-s", "150", "-w", plain, TEXT], check=True)
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", plain, "-af", "volume=-3dB,apad=pad_dur=1", "-ar", "48000", "-ac", "1", file], check=True)
    return file


def read(file):
    with wave.open(str(file)) as w:
        rate, channels = w.getframerate(), w.getnchannels()
        samples = np.frombuffer(w.readframes(w.getnframes()), np.int16)[::channels].astype(np.float64)
    return resample_poly(samples, RATE, rate) if rate != RATE else samples


def score(known, heard):
    """Finds one whole turn of `known` in `heard`, after the call has settled, and compares."""
    heard = heard[4 * RATE :]
    like = fftconvolve(heard, known[::-1], mode="valid")
    if not len(like):
        raise RuntimeError(f"only {len(heard) / RATE:.0f} s were heard")
    at = int(np.argmax(like))
    part = heard[at : at + len(known)]
    return {"pesq": float(pesq(RATE, known, part, "wb")), "stoi": intelligibility(known, heard, at)}


def intelligibility(known, heard, at):
    """STOI knows no delay that changes: each second and a half is put in its place first."""
    length, room, values = 3 * RATE // 2, RATE // 5, []
    for start in range(0, len(known) - length, length):
        window = known[start : start + length]
        area = heard[max(0, at + start - room) : at + start + length + room]
        if np.sqrt(np.mean(window**2)) < 100 or len(area) < length:
            continue
        place = int(np.argmax(fftconvolve(area, window[::-1], mode="valid")))
        values.append(stoi(window, area[place : place + length], RATE))
    return float(np.mean(values))


def one(sender, player, loss, seed):
    file = voice()
    known = read(file)
    seconds = 2 * len(known) / RATE + 6
    heard = rig.FOLDER / f"heard-{sender}-{player}-{loss}.wav"
    heard.unlink(missing_ok=True)
    path = f"loss={loss}%,delay=40ms,seed={seed}"
    native = ["--video", "none"]
    with rig.Server() as server:
        processes = []
        try:
            address = f"{server.page}/talk?name=page&autojoin=1&processing=0"
            page = ["node", rig.HERE / "page.mjs", address, rig.clip("640x360"), file, 300_000]
            if sender == "chromium":
                far = rig.Lines(page)
            else:
                far = server.client("talk", *native, "--audio", f"file:{file}", "--loop", "--impair", f"up:{path}")
            processes.append(far)
            far.wait_for("joined")
            if player == "chromium":
                near = rig.Lines([*page, heard])
                processes.append(near)
                near.wait_for("joined")
            else:
                impaired = ["--impair", f"down:{path}"] if sender == "chromium" else []
                near = server.client("talk", *native, "--audio", "none", "--speaker", f"file:{heard}", *impaired)
                processes.append(near)
                near.wait_for("first-frame")
            time.sleep(seconds)
            if player == "chromium":
                near.say("end")
                near.wait_for("ended")
            else:
                near.process.terminate()
                near.wait_for("summary")
        finally:
            for process in processes:
                process.end()
    return score(known, read(heard))


def run(options):
    rows = []
    for sender, player in (("ours", "ours"), ("ours", "chromium"), ("chromium", "ours")):
        if options.only not in f"{sender}-{player}":
            continue
        cells = [sender, player]
        for loss in LOSSES:
            got = []
            for seed in SEEDS if loss else SEEDS[:1]:
                try:
                    got.append(one(sender, player, loss, seed))
                except RuntimeError as error:
                    rig.show({"sender": sender, "player": player, "loss": loss, "seed": seed, "error": str(error)})
                    continue
                rig.show({"sender": sender, "player": player, "loss": loss, "seed": seed, **got[-1]})
            cells.append(f"{np.mean([g['pesq'] for g in got]):.2f}, {np.mean([g['stoi'] for g in got]):.3f}" if got else "failed")
        rows.append(cells)
    rig.table(["sent by", "played by", *(f"{loss} %: PESQ, STOI" for loss in LOSSES)], rows)
