#!/usr/bin/env python3
"""aiortc in a call with itself: N peers, each connected with each, in this process.

  aiortc_peer.py CLIP.y4m PEERS BITRATE

Says {"event":"flowing"}; "restart" on standard input begins the measuring, "end" prints the result.
"""

import asyncio
import fractions
import json
import sys
import time

import av
import numpy as np
from aiortc import MediaStreamTrack, RTCPeerConnection
from aiortc.codecs import h264, vpx
from aiortc.contrib.media import MediaRelay

import tally as tallies

file, peers, bitrate = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
# aiortc has no other way to be told a rate.
vpx.DEFAULT_BITRATE = h264.DEFAULT_BITRATE = bitrate
vpx.MAX_BITRATE = h264.MAX_BITRATE = bitrate

clip = tallies.Clip(file)
tally = tallies.Tally(len(clip))
epoch = time.monotonic()


def say(event, **more):
    print(json.dumps({"event": event, **more}), flush=True)


class Pictures(MediaStreamTrack):
    kind = "video"

    def __init__(self):
        super().__init__()
        self.count = 0

    async def recv(self):
        self.count = max(self.count, int((time.monotonic() - epoch) * 30))
        await asyncio.sleep(max(0, epoch + self.count / 30 - time.monotonic()))
        n = self.count % len(clip)
        frame = av.VideoFrame.from_ndarray(clip.planes(n), format="yuv420p")
        frame.pts, frame.time_base = self.count * 3000, fractions.Fraction(1, 90000)
        if self is measured_source:
            tally.send(n, time.monotonic())
        self.count += 1
        return frame


class Beeps(MediaStreamTrack):
    kind = "audio"

    def __init__(self):
        super().__init__()
        self.count = 0
        t = np.arange(960) / 48000
        self.loud = (12000 * np.sin(2 * np.pi * 1000 * t)).astype(np.int16)

    async def recv(self):
        # Sound is there once its last sample was taken.
        self.count = max(self.count, int((time.monotonic() - epoch) * 50) - 1)
        await asyncio.sleep(max(0, epoch + (self.count + 1) / 50 - time.monotonic()))
        samples = self.loud if self.count % 50 < 5 else np.zeros(960, np.int16)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = 48000
        frame.pts, frame.time_base = self.count * 960, fractions.Fraction(1, 48000)
        self.count += 1
        return frame


async def watch(track, measured, started):
    first = True
    while True:
        frame = await track.recv()
        if first and track.kind == "video":
            started.release()
        first = False
        if not measured:
            continue
        if track.kind == "video":
            plane = frame.planes[0]
            luma = np.frombuffer(plane, np.uint8).reshape(frame.height, plane.line_size)
            tally.see(tallies.number(luma, frame.width, frame.height), time.monotonic())
        else:
            samples = frame.to_ndarray().reshape(-1, 2)[:, 0]
            tally.hear(samples, frame.sample_rate, time.monotonic(), 2000, epoch)


connections = []


async def connect(a, b, sources, started, tasks):
    one, two = RTCPeerConnection(), RTCPeerConnection()
    connections.append((one, two))
    for pc, who, measured in ((one, a, False), (two, b, (a, b) == (0, 1))):
        for relay, track in sources[who]:
            pc.addTrack(relay.subscribe(track))

        def come(track, measured=measured):
            tasks.append(asyncio.ensure_future(watch(track, measured, started)))

        pc.on("track", come)
    await one.setLocalDescription(await one.createOffer())
    await two.setRemoteDescription(one.localDescription)
    await two.setLocalDescription(await two.createAnswer())
    await one.setRemoteDescription(two.localDescription)


async def received():
    report = await connections[0][1].getStats()
    return sum(s.bytesReceived for s in report.values() if s.type == "transport")


measured_source = None


async def main():
    global measured_source
    sources = []
    for _ in range(peers):
        pictures = Pictures()
        measured_source = measured_source or pictures
        sources.append([(MediaRelay(), pictures), (MediaRelay(), Beeps())])
    started, tasks = asyncio.Semaphore(0), []
    for a in range(peers):
        for b in range(a + 1, peers):
            await connect(a, b, sources, started, tasks)
    for _ in range(peers * (peers - 1)):
        await started.acquire()
    say("flowing")
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    since, had = time.monotonic(), 0
    async for line in reader:
        if line.strip() == b"restart":
            since, had = time.monotonic(), await received()
            tally.restart()
        else:
            rate = (await received() - had) * 8 / 1000 / (time.monotonic() - since)
            say("result", **tally.result(), kbit=rate)
            break
    for task in tasks:
        task.cancel()
    import os

    os._exit(0)


asyncio.run(main())
