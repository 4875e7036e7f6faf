#!/usr/bin/env python3
"""A WHIP endpoint on GStreamer's webrtcbin, for tests: nobody's code but GStreamer's ends the media.

  whip_server.py [--token TOKEN]

Listens on a free port of the loopback. `POST /moved` is redirected (307) to `/whip/live`, which takes offers. Says what happens as one
JSON object a line: `listening` (with the URL), `offer`, `state`, `frames` (decoded pictures), `patched`, `deleted`. Ends with its
standard input.
"""

import argparse
import http.server
import json
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
gi.require_version("GstSdp", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

LOCK = threading.Lock()


def say(event, **more):
    with LOCK:
        print(json.dumps({"event": event, **more}), flush=True)


class Session:
    """Answers one offer and decodes what comes."""

    def __init__(self, offer):
        self.frames = 0
        self.answer = None
        self.candidates = []
        self.gathered = threading.Event()
        self.pipeline = Gst.Pipeline.new()
        self.web = Gst.ElementFactory.make("webrtcbin", None)
        self.web.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
        self.pipeline.add(self.web)
        self.web.connect("pad-added", self.received)
        self.web.connect("on-ice-candidate", lambda _, *line: self.candidates.append(line))
        self.web.connect("notify::ice-gathering-state", self.gathering_changed)
        self.web.connect(
            "notify::connection-state",
            lambda web, _: say("state", state=web.get_property("connection-state").value_nick),
        )
        self.pipeline.set_state(Gst.State.PLAYING)
        _, sdp = GstSdp.SDPMessage.new_from_text(offer)
        theirs = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.OFFER, sdp)
        self.web.emit("set-remote-description", theirs, Gst.Promise.new_with_change_func(self.heard, offer))

    def heard(self, promise, offer):
        promise.wait()
        # webrtcbin takes candidates from descriptions only in later versions.
        index = -1
        for line in offer.splitlines():
            if line.startswith("m="):
                index += 1
            elif line.startswith("a=candidate:"):
                self.web.emit("add-ice-candidate", index, line[2:])
        self.web.emit("create-answer", None, Gst.Promise.new_with_change_func(self.answered))

    def answered(self, promise):
        promise.wait()
        reply = promise.get_reply()
        answer = reply.get_value("answer")
        self.web.emit("set-local-description", answer, Gst.Promise.new())
        self.answer = answer.sdp.as_text()

    def gathering_changed(self, web, _):
        if web.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            self.gathered.set()

    def text(self):
        """The answer with its candidates, once in the section whose transport is used."""
        lines = [line for line in self.answer.splitlines() if not line.startswith("a=candidate:")]
        at = next(i for i, line in enumerate(lines) if line.startswith("a=mid:")) + 1
        lines[at:at] = [f"a={text}" for _, text in self.candidates] + ["a=end-of-candidates"]
        return "\r\n".join(lines) + "\r\n"

    def received(self, _web, pad):
        caps = pad.get_current_caps() or pad.query_caps(None)
        video = "media=(string)video" in caps.to_string()
        text = "queue ! rtpvp8depay ! vp8dec ! fakesink name=end sync=false signal-handoffs=true"
        tail = Gst.parse_bin_from_description(text if video else "queue ! fakesink sync=false", True)
        if video:
            tail.get_by_name("end").connect("handoff", self.decoded)
        self.pipeline.add(tail)
        tail.sync_state_with_parent()
        pad.link(tail.get_static_pad("sink"))

    def decoded(self, *_):
        self.frames += 1
        if self.frames % 30 == 0:
            say("frames", frames=self.frames)

    def close(self):
        self.pipeline.set_state(Gst.State.NULL)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    token = None
    sessions = {}

    def reply(self, status, body="", **headers):
        data = body.encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def body(self):
        return self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()

    def allowed(self):
        if self.token and self.headers["Authorization"] != f"Bearer {self.token}":
            self.body()
            self.reply(401, "this endpoint wants its token\n", Content_Type="text/plain", WWW_Authenticate="Bearer")
            return False
        return True

    def do_OPTIONS(self):
        self.reply(204, Accept_Post="application/sdp")

    def do_POST(self):
        if not self.allowed():
            return
        offer = self.body()
        if self.path == "/moved":
            return self.reply(307, Location="/whip/live")
        if self.path != "/whip/live":
            return self.reply(404, "no such stream\n", Content_Type="text/plain")
        say("offer", sdp=offer, type=self.headers["Content-Type"])
        session = Session(offer)
        if not session.gathered.wait(10) or session.answer is None:
            return self.reply(500, "no answer was made\n", Content_Type="text/plain")
        number = str(len(self.sessions) + 1)
        self.sessions[number] = session
        # Relative to the endpoint, as RFC 9725 allows.
        self.reply(201, session.text(), Content_Type="application/sdp", Location=f"../sessions/{number}", ETag='"1"')

    def do_PATCH(self):
        if self.allowed():
            say("patched", body=self.body())
            self.reply(405)

    def do_DELETE(self):
        if not self.allowed():
            return
        session = self.sessions.pop(self.path.removeprefix("/sessions/"), None)
        if session:
            session.close()
        say("deleted", path=self.path, known=session is not None)
        self.reply(200 if session else 404)

    def log_message(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--token")
    Handler.token = parser.parse_args().token
    Gst.init(None)
    loop = GLib.MainLoop()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    say("listening", url=f"http://127.0.0.1:{server.server_port}")
    # Whoever started us is gone when our input ends.
    threading.Thread(target=lambda: (sys.stdin.read(), GLib.idle_add(loop.quit)), daemon=True).start()
    loop.run()


if __name__ == "__main__":
    main()
