#!/usr/bin/env python3
"""GStreamer's webrtcbin in a call with itself: two peers in this process.

  gstreamer_peer.py CLIP.y4m 2 BITRATE

Says {"event":"flowing"}; "restart" on standard input begins the measuring, "end" prints the result.
"""

import json
import os
import sys
import threading
import time

import gi
import numpy as np

gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
gi.require_version("GstSdp", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

import tally as tallies  # noqa: E402

file, peers, bitrate = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
if peers != 2:
    sys.exit("gstreamer_peer.py calls with two peers only")
Gst.init(None)
clip = tallies.Clip(file)
tally = tallies.Tally(len(clip))
epoch = time.monotonic()

SEND = (
    f"appsrc name=pictures{{0}} is-live=true do-timestamp=true format=time caps=video/x-raw,format=I420,width={clip.width},height={clip.height},framerate=30/1 "
    f"! queue max-size-buffers=2 leaky=downstream ! vp8enc deadline=1 cpu-used=8 target-bitrate={bitrate} keyframe-max-dist=3000 error-resilient=partitions "
    "! rtpvp8pay picture-id-mode=2 ! application/x-rtp,media=video,encoding-name=VP8,payload=96 ! web{0}.sink_0 "
    "appsrc name=sound{0} is-live=true do-timestamp=true format=time caps=audio/x-raw,format=S16LE,rate=48000,channels=1,layout=interleaved "
    "! queue ! opusenc ! rtpopuspay ! application/x-rtp,media=audio,encoding-name=OPUS,payload=111 ! web{0}.sink_1 "
    "webrtcbin name=web{0} bundle-policy=max-bundle latency=0 "
)
pipeline = Gst.parse_launch(SEND.format(0) + SEND.format(1))
web = [pipeline.get_by_name(f"web{n}") for n in (0, 1)]
started = threading.Semaphore(0)
kept = []
bytes_in = 0


def say(event, **more):
    print(json.dumps({"event": event, **more}), flush=True)


def stream(_, pad, measured):
    if pad.get_direction() != Gst.PadDirection.SRC:
        return
    kind = pad.get_current_caps().get_structure(0).get_string("media")
    chain = "rtpvp8depay ! vp8dec" if kind == "video" else "rtpopusdepay ! opusdec"
    sink = Gst.parse_bin_from_description(f"{chain} ! appsink name=out emit-signals=true sync=false", True)
    pipeline.add(sink)
    if kind == "video" and measured:

        def count(_, info):
            global bytes_in
            bytes_in += info.get_buffer().get_size()
            return Gst.PadProbeReturn.OK

        pad.add_probe(Gst.PadProbeType.BUFFER, count)
    state = {"first": True}

    def sample(out):
        buffer = out.emit("pull-sample")
        now = time.monotonic()
        if state["first"] and kind == "video":
            started.release()
        state["first"] = False
        if measured:
            read(kind, buffer, now)
        return Gst.FlowReturn.OK

    sink.get_by_name("out").connect("new-sample", sample)
    sink.sync_state_with_parent()
    pad.link(sink.get_static_pad("sink"))


def read(kind, sample, now):
    caps = sample.get_caps().get_structure(0)
    buffer = sample.get_buffer()
    there, mapped = buffer.map(Gst.MapFlags.READ)
    if not there:
        return
    try:
        if kind == "video":
            width, height = caps.get_value("width"), caps.get_value("height")
            stride = (width + 3) // 4 * 4
            luma = np.frombuffer(mapped.data, np.uint8, stride * height).reshape(height, stride)
            tally.see(tallies.number(luma, width, height), now)
        else:
            channels = caps.get_value("channels")
            tally.hear(np.frombuffer(mapped.data, np.int16)[::channels], caps.get_value("rate"), now, 2000, epoch)
    finally:
        buffer.unmap(mapped)


def describe(source, other, make, then):
    def made(promise):
        promise.wait()
        # The description lives in the reply, which must be held as long.
        reply = promise.get_reply()
        text = reply.get_value(make)
        source.emit("set-local-description", text, Gst.Promise.new())
        done = Gst.Promise.new_with_change_func(lambda _: then())
        other.emit("set-remote-description", text, done)
        kept.append((reply, text, done))

    source.emit(f"create-{make}", None, Gst.Promise.new_with_change_func(made))


def call():
    for n in (0, 1):
        web[n].connect("on-ice-candidate", lambda _, line, text, to=web[1 - n]: to.emit("add-ice-candidate", line, text))
        web[n].connect("pad-added", stream, n == 1)
    # The first caps of both senders must be there before an offer can name them.
    pipeline.set_state(Gst.State.PLAYING)
    threading.Thread(target=feed, daemon=True).start()
    time.sleep(1)
    describe(web[0], web[1], "offer", lambda: describe(web[1], web[0], "answer", lambda: None))


def feed():
    pictures = [pipeline.get_by_name(f"pictures{n}") for n in (0, 1)]
    sounds = [pipeline.get_by_name(f"sound{n}") for n in (0, 1)]
    loud = (12000 * np.sin(2 * np.pi * 1000 * np.arange(480) / 48000)).astype(np.int16).tobytes()
    picture = block = 0
    while True:
        now = time.monotonic() - epoch
        while picture / 30 <= now:
            raw = clip.raw(picture % len(clip))
            tally.send(picture % len(clip), time.monotonic())
            for source in pictures:
                source.emit("push-buffer", Gst.Buffer.new_wrapped(raw))
            picture += 1
        # Sound is there once its last sample was taken.
        while (block + 1) / 100 <= now:
            for source in sounds:
                source.emit("push-buffer", Gst.Buffer.new_wrapped(loud if block % 100 < 10 else bytes(960)))
            block += 1
        time.sleep(0.003)


def commands():
    for _ in (0, 1):
        started.acquire()
    say("flowing")
    since, had = time.monotonic(), 0
    for line in sys.stdin:
        if line.strip() == "restart":
            since, had = time.monotonic(), bytes_in
            tally.restart()
        else:
            say("result", **tally.result(), kbit=(bytes_in - had) * 8 / 1000 / (time.monotonic() - since))
            os._exit(0)


threading.Thread(target=commands, daemon=True).start()
call()
GLib.MainLoop().run()
