"""Drive WebRTC calls from Python.

Each :class:`Call` is a process of its own, ``rtc-client join ... --control``: a real peer with real media, which cannot take the
test's process with it when something goes wrong.

    async with rtc_client.join("room", server="http://localhost:8080") as call:
        await call.wait_for("first-frame", kind="video")
        await call.impair("loss=5%")
        (await call.check("video.fps>=20 after 2s")).require()
"""

from ._call import Call, Channel, Event, Expectation, Verdict, join
from ._errors import CallEnded, CommandFailed, NotAsExpected, NotInstalled, RtcClientError, TookTooLong

__all__ = [
    "Call",
    "CallEnded",
    "Channel",
    "CommandFailed",
    "Event",
    "Expectation",
    "NotAsExpected",
    "NotInstalled",
    "RtcClientError",
    "TookTooLong",
    "Verdict",
    "join",
]
