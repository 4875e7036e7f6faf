"""Holds somebody's own page to something: opens it in Chromium, calls it, and judges what comes.

``PAGE='https://example.org/{room}' RTC_SERVER_URL=https://example.org pytest python/examples`` tries yours; without them it is the page
that ``rtc-server`` brings.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator

import rtc_client

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--no-first-run",
    "--disable-gpu",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
]


@contextlib.asynccontextmanager
async def chromium(page: str) -> AsyncIterator[None]:
    """A browser that shows the page until the block ends."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            os.environ.get("CHROMIUM", "chromium"),
            *FLAGS,
            f"--user-data-dir={profile}",
            page,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            process.kill()
            await process.wait()


async def test_my_page_is_seen_and_heard(rtc_server: str, rtc_room: str) -> None:
    page = os.environ.get("PAGE", f"{rtc_server}/{{room}}?autojoin").replace("{room}", rtc_room)
    async with rtc_client.join(rtc_room, server=rtc_server, name="judge") as judge, chromium(page):
        await judge.wait_for("first-frame", kind="video")
        await judge.wait_for("first-frame", kind="audio")
        await asyncio.sleep(6)
        (await judge.check("connect<10s", "video.fps>=5 after 2s", "audio.seconds>=1")).require()
