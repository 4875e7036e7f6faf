"""One clip at three rates, by our encoders and by Chromium's: what rtc-client received and recorded, against the clip."""

import subprocess
import time

import numpy as np
from scipy.ndimage import gaussian_filter

import rig
import tally as tallies

CODECS = ["vp8", "vp9", "h264", "av1"]
RATES = [300_000, 800_000, 1_500_000]
# Chromium begins low and needs its time to find the rate.
SETTLE = 15
SIZE = "640x360"


def psnr(a, b):
    error = np.mean((a.astype(np.float64) - b) ** 2)
    return 99.0 if error == 0 else 10 * np.log10(255**2 / error)


def ssim(a, b):
    """Wang et al. 2004: Gaussian window of 1.5, K 0.01 and 0.03."""
    a, b = a.astype(np.float64), b.astype(np.float64)

    def blur(x):
        return gaussian_filter(x, 1.5, truncate=3.5)

    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    ma, mb = blur(a), blur(b)
    va, vb, cov = blur(a * a) - ma * ma, blur(b * b) - mb * mb, blur(a * b) - ma * mb
    return np.mean((2 * ma * mb + c1) * (2 * cov + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2)))


def judge(recording, seconds):
    """Mean PSNR and SSIM of luma over the last `seconds`, every fifth picture, the band of marks left out."""
    clip = tallies.Clip(rig.clip(SIZE))
    decoder = subprocess.Popen(
        ["ffmpeg", "-v", "error", "-i", recording, "-map", "0:v:0", "-an", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", SIZE, "-fps_mode", "passthrough", "-"],
        stdout=subprocess.PIPE,
    )
    pictures = []
    while len(raw := decoder.stdout.read(clip.size)) == clip.size:
        pictures.append(raw)
    decoder.wait()
    top = clip.height * 2 // 15 + 8
    values = []
    for raw in pictures[-seconds * 30 :: 5]:
        luma = np.frombuffer(raw, np.uint8, clip.width * clip.height).reshape(clip.height, clip.width)
        n = tallies.number(luma, clip.width, clip.height)
        if n < len(clip):
            known = clip.luma(n)
            values.append((psnr(luma[top:], known[top:]), ssim(luma[top:], known[top:])))
    if not values:
        raise RuntimeError(f"no marked picture in the last {seconds} s of {recording}")
    return {"psnr": float(np.mean([v[0] for v in values])), "ssim": float(np.mean([v[1] for v in values])), "compared": len(values)}


def one(sender, codec, rate, seconds):
    clip = rig.clip(SIZE)
    recording = rig.FOLDER / f"{sender}-{codec}-{rate}.mkv"
    recording.unlink(missing_ok=True)
    with rig.Server() as server:
        processes = []
        try:
            if sender == "ours":
                far = server.client("clip", "--video", f"file:{clip}", "--loop", "--audio", "none", "--codec", codec, "--bitrate", rate, "--degradation", "maintain-resolution")
            else:
                address = f"{server.page}/clip?name=page&autojoin=1&processing=0"
                far = rig.Lines(["node", rig.HERE / "page.mjs", address, clip, rig.FOLDER / "beeps.wav", rate])
            processes.append(far)
            far.wait_for("joined")
            near = server.client("clip", "--video", "none", "--audio", "none", "--codec", codec, "--record", recording)
            processes.append(near)
            near.wait_for("first-frame")
            time.sleep(SETTLE)
            before = newest(near)
            time.sleep(seconds)
            after = newest(near)
            near.process.terminate()
            near.wait_for("summary")
        finally:
            for process in processes:
                if process.process.poll() is None and sender != "ours" and process is processes[0]:
                    process.say("end")
                    process.process.wait(20)
                process.end()
    kbit = (after["bytesReceived"] - before["bytesReceived"]) * 8 / (after["timestamp"] - before["timestamp"])
    return {"kbit": kbit, **judge(recording, seconds)}


def newest(client):
    while not client.lines.empty():
        client.lines.get()
    report = client.wait_for("stats")["report"]
    return next(s for s in report.values() if s["type"] == "inbound-rtp" and s["kind"] == "video")


def run(options):
    import calls

    calls.beeps()
    rows = []
    for codec in CODECS:
        if options.only and options.only != codec:
            continue
        for rate in RATES:
            cells = [codec.upper(), f"{rate // 1000}"]
            for sender in ("ours", "chromium"):
                try:
                    got = one(sender, codec, rate, min(options.seconds, 15))
                    rig.show({"codec": codec, "rate": rate, "sender": sender, **got})
                    cells += [f"{got['kbit']:.0f}", f"{got['psnr']:.1f}", f"{got['ssim']:.4f}"]
                except RuntimeError as error:
                    rig.show({"codec": codec, "rate": rate, "sender": sender, "error": str(error)})
                    cells += ["failed", "", ""]
            rows.append(cells)
    rig.table(["codec", "kbit/s asked", "ours: kbit/s", "PSNR-Y dB", "SSIM", "Chromium: kbit/s", "PSNR-Y dB", "SSIM"], rows)
