#!/usr/bin/env python3
"""A WHIP publisher or WHEP player on GStreamer's webrtcbin, for tests.

  gstreamer.py publish URL [--trickle] [--codec vp8|h264] [--restart-after SECONDS]
  gstreamer.py play URL

Says what happens as one JSON object a line: `answered`, `state`, `frames` (what a player has decoded), `restarted`.
Ends the session with DELETE on SIGINT, SIGTERM, or the end of standard input; with SIGKILL it vanishes.
"""

import argparse
import json
import re
import signal
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
gi.require_version("GstSdp", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

VIDEO = {
    "vp8": "videotestsrc is-live=true pattern=ball ! video/x-raw,width=640,height=360,framerate=30/1 "
    "! vp8enc deadline=1 cpu-used=8 target-bitrate=600000 keyframe-max-dist=30 error-resilient=partitions "
    "! rtpvp8pay picture-id-mode=2 ! application/x-rtp,media=video,encoding-name=VP8,payload=96 ! web.sink_0 ",
    "h264": "videotestsrc is-live=true pattern=ball ! video/x-raw,width=640,height=360,framerate=30/1,format=I420 "
    "! openh264enc complexity=low bitrate=600000 gop-size=30 ! video/x-h264,profile=constrained-baseline "
    "! h264parse config-interval=-1 ! rtph264pay aggregate-mode=zero-latency "
    "! application/x-rtp,media=video,encoding-name=H264,payload=96 ! web.sink_0 ",
}
AUDIO = (
    "audiotestsrc is-live=true freq=440 ! audio/x-raw,rate=48000,channels=2 ! opusenc "
    "! rtpopuspay ! application/x-rtp,media=audio,encoding-name=OPUS,payload=111 ! web.sink_1 "
)


def say(event, **more):
    print(json.dumps({"event": event, **more}), flush=True)


class Peer:
    def __init__(self, options, loop):
        self.options = options
        self.loop = loop
        self.session = None
        self.etag = None
        self.offer = None
        self.candidates = []
        self.waiting = []
        self.frames = 0
        publish = options.what == "publish"
        if publish:
            text = "webrtcbin name=web bundle-policy=max-bundle " + VIDEO[options.codec] + AUDIO
            self.pipeline = Gst.parse_launch(text)
            self.web = self.pipeline.get_by_name("web")
        else:
            self.pipeline = Gst.Pipeline.new()
            self.web = Gst.ElementFactory.make("webrtcbin", "web")
            self.web.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
            self.pipeline.add(self.web)
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message::error", self.failed)
        self.web.connect("notify::connection-state", self.state_changed)
        self.web.connect("notify::ice-gathering-state", self.gathering_changed)
        self.web.connect("on-ice-candidate", self.found)
        if publish:
            for index in range(2):
                self.web.emit("get-transceiver", index).set_property(
                    "direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY
                )
        else:
            self.web.connect("pad-added", self.received)
            for caps in (
                "application/x-rtp,media=video,encoding-name=VP8,payload=96,clock-rate=90000",
                "application/x-rtp,media=audio,encoding-name=OPUS,payload=111,clock-rate=48000,"
                "encoding-params=(string)2",
            ):
                self.web.emit(
                    "add-transceiver",
                    GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY,
                    Gst.Caps.from_string(caps),
                )
        self.started = False
        self.web.connect("on-negotiation-needed", lambda _: GLib.idle_add(self.start))
        self.pipeline.set_state(Gst.State.PLAYING)

    def start(self):
        if not self.started:
            self.started = True
            promise = Gst.Promise.new_with_change_func(self.offered)
            self.web.emit("create-offer", None, promise)
        return False

    def offered(self, promise):
        if promise.wait() != Gst.PromiseResult.REPLIED:
            return
        # The offer lives in the reply, which must be held as long.
        reply = promise.get_reply()
        offer = reply.get_value("offer")
        self.web.emit("set-local-description", offer, Gst.Promise.new())
        self.offer = offer.sdp.as_text()
        if self.options.trickle:
            GLib.idle_add(self.post, self.offer)

    def gathering_changed(self, web, _):
        done = web.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE
        if done and not self.options.trickle:
            GLib.idle_add(self.post, None)
        elif done:
            GLib.idle_add(self.trickle, "a=end-of-candidates")

    def found(self, _web, index, candidate):
        self.candidates.append((index, candidate))
        if self.options.trickle:
            GLib.idle_add(self.trickle, f"a={candidate}")

    def request(self, method, url, body=None, headers=None):
        headers = dict(headers or {})
        if self.options.token:
            headers["Authorization"] = f"Bearer {self.options.token}"
        data = None if body is None else body.encode()
        asked = urllib.request.Request(url, data=data, headers=headers, method=method)
        return urllib.request.urlopen(asked, timeout=20)

    def post(self, offer):
        if self.session:
            return False
        if offer is None:
            local = self.web.get_property("local-description")
            offer = with_candidates(local.sdp.as_text(), self.candidates)
        say("offer", sdp=offer)
        try:
            response = self.request("POST", self.options.url, offer, {"Content-Type": "application/sdp"})
        except urllib.error.HTTPError as error:
            say("refused", status=error.code, words=error.read().decode().strip())
            self.loop.quit()
            return False
        self.session = urllib.parse.urljoin(self.options.url, response.headers["Location"])
        self.etag = response.headers["ETag"]
        answer = response.read().decode()
        say("answered", status=response.status, session=self.session, sdp=answer)
        _, sdp = GstSdp.SDPMessage.new_from_text(answer)
        description = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, sdp)
        self.web.emit("set-remote-description", description, Gst.Promise.new())
        for line in answer_candidates(answer):
            self.web.emit("add-ice-candidate", *line)
        waiting, self.waiting = self.waiting, []
        if waiting:
            self.patch("\r\n".join(waiting))
        return False

    def trickle(self, line):
        if self.session:
            self.patch(line)
        else:
            self.waiting.append(line)
        return False

    def patch(self, body):
        mid = re.search(r"^a=mid:(\S+)", self.offer, re.M).group(1)
        headers = {"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": self.etag}
        body = f"m=video 9 RTP/AVP 0\r\na=mid:{mid}\r\n{body}\r\n"
        response = self.request("PATCH", self.session, body, headers)
        say("trickled", status=response.status)

    def state_changed(self, web, _):
        say("state", state=web.get_property("connection-state").value_nick)

    def received(self, _web, pad):
        caps = pad.get_current_caps() or pad.query_caps(None)
        video = caps.to_string().find("media=(string)video") >= 0
        text = (
            "queue ! rtpvp8depay ! vp8dec ! fakesink name=end sync=false signal-handoffs=true"
            if video
            else "queue ! fakesink sync=false"
        )
        tail = Gst.parse_bin_from_description(text, True)
        if video:
            tail.get_by_name("end").connect("handoff", self.decoded)
        self.pipeline.add(tail)
        tail.sync_state_with_parent()
        pad.link(tail.get_static_pad("sink"))

    def decoded(self, sink, *_):
        self.frames += 1
        if self.frames % 30 == 0:
            caps = sink.get_static_pad("sink").get_current_caps().get_structure(0)
            say(
                "frames",
                frames=self.frames,
                width=caps.get_value("width"),
                height=caps.get_value("height"),
            )

    def failed(self, _bus, message):
        error, more = message.parse_error()
        say("failed", words=f"{error.message} ({more})")
        self.loop.quit()

    def close(self):
        if self.session:
            try:
                say("deleted", status=self.request("DELETE", self.session).status)
            except urllib.error.HTTPError as error:
                say("deleted", status=error.code)
        self.pipeline.set_state(Gst.State.NULL)


def with_candidates(sdp, candidates):
    """GStreamer 1.22 writes the candidates of a bundle into none or all of its sections; once is enough."""
    sdp = re.sub(r"a=(candidate:.*|end-of-candidates)\r\n", "", sdp)
    first, mark, rest = sdp.partition("a=mid:")
    line, mark2, rest = rest.partition("\r\n")
    lines = "".join(f"a={text}\r\n" for _, text in candidates) + "a=end-of-candidates\r\n"
    return first + mark + line + mark2 + lines + rest


def answer_candidates(sdp):
    """Position and text of each candidate: webrtcbin takes them from descriptions only in later versions."""
    index = -1
    for line in sdp.splitlines():
        if line.startswith("m="):
            index += 1
        elif line.startswith("a=candidate:"):
            yield index, line[2:]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["publish", "play"])
    parser.add_argument("url")
    parser.add_argument("--trickle", action="store_true")
    parser.add_argument("--codec", choices=sorted(VIDEO), default="vp8")
    parser.add_argument("--token")
    options = parser.parse_args()
    Gst.init(None)
    loop = GLib.MainLoop()
    peer = Peer(options, loop)
    for number in (signal.SIGINT, signal.SIGTERM):
        GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, number, loop.quit)
    # Whoever started us is gone when our input ends.
    threading.Thread(target=lambda: (sys.stdin.read(), GLib.idle_add(loop.quit)), daemon=True).start()
    loop.run()
    peer.close()


if __name__ == "__main__":
    main()
