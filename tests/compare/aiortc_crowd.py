#!/usr/bin/env python3
"""A crowd of aiortc's: calls of two in this process, which send media that were encoded once.

  aiortc_crowd.py PREPARED.webm CALLS

What comes is decoded and thrown away: aiortc's receiver knows no other way.
Says {"event":"flowing"}; "restart" on standard input begins the measuring, "end" prints the result.
"""

import asyncio
import fractions
import json
import sys
import time

import av
from aiortc import MediaStreamTrack, RTCPeerConnection

file, calls = sys.argv[1], int(sys.argv[2])


def say(event, **more):
    print(json.dumps({"event": event, **more}), flush=True)


class Row:
    """One kind's packets, which are sent over and over."""

    def __init__(self, kind, per_second):
        with av.open(file) as container:
            stream = container.streams.get(**{kind: 0})[0]
            self.packets = [bytes(packet) for packet in container.demux(stream) if packet.size]
        self.kind, self.per_second = kind, per_second


class Sent(MediaStreamTrack):
    def __init__(self, row):
        super().__init__()
        self.kind, self.row, self.count, self.epoch = row.kind, row, 0, time.monotonic()

    async def recv(self):
        per_second = self.row.per_second
        await asyncio.sleep(max(0, self.epoch + self.count / per_second - time.monotonic()))
        packet = av.Packet(self.row.packets[self.count % len(self.row.packets)])
        packet.pts, packet.time_base = self.count, fractions.Fraction(1, per_second)
        self.count += 1
        return packet


pictures = 0


async def watch(track, started):
    global pictures
    first = True
    while True:
        await track.recv()
        if track.kind != "video":
            continue
        pictures += 1
        if first:
            started.release()
        first = False


async def connect(rows, started, tasks):
    one, two = RTCPeerConnection(), RTCPeerConnection()
    for pc in (one, two):
        for row in rows:
            pc.addTrack(Sent(row))
        pc.on("track", lambda track: tasks.append(asyncio.ensure_future(watch(track, started))))
    await one.setLocalDescription(await one.createOffer())
    await two.setRemoteDescription(one.localDescription)
    await two.setLocalDescription(await two.createAnswer())
    await one.setRemoteDescription(two.localDescription)
    return two


async def received(ends):
    total = 0
    for end in ends:
        report = await end.getStats()
        total += sum(s.bytesReceived for s in report.values() if s.type == "transport")
    return total


async def main():
    global pictures
    rows = [Row("video", 30), Row("audio", 50)]
    started, tasks = asyncio.Semaphore(0), []
    ends = [await connect(rows, started, tasks) for _ in range(calls)]
    for _ in range(2 * calls):
        await started.acquire()
    say("flowing")
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    since, had = time.monotonic(), 0
    async for line in reader:
        if line.strip() == b"restart":
            since, had, pictures = time.monotonic(), await received(ends), 0
        else:
            seconds = time.monotonic() - since
            kbit = (await received(ends) - had) * 8 / 1000 / seconds / len(ends)
            say("result", fps=pictures / seconds / (2 * calls), kbit=kbit)
            break
    import os

    os._exit(0)


asyncio.run(main())
