"""Fixtures for pytest; they come with the package.

``rtc_room``
    The name of a room that no other test meets in.
``rtc_server``
    The URL of an ``rtc-server`` for the session's tests: the variable ``RTC_SERVER_URL``, or one that is started here.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator

import pytest

START = 20.0


@pytest.fixture
def rtc_room(request: pytest.FixtureRequest) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    return f"{name[:40]}-{secrets.token_hex(4)}"


@pytest.fixture(scope="session")
def rtc_server() -> Iterator[str]:
    url = os.environ.get("RTC_SERVER_URL")
    if url:
        yield url
        return
    program = os.environ.get("RTC_SERVER") or shutil.which("rtc-server")
    if not program:
        pytest.fail("rtc-server is not installed: cargo install --locked --path server, or set RTC_SERVER or RTC_SERVER_URL")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen([program, "--listen", f"127.0.0.1:{port}"], stdout=subprocess.DEVNULL)
    try:
        _wait_until_ready(url, process)
        yield url
    finally:
        # It would let calls in progress end first; those of these tests are over, or never will be.
        process.kill()
        process.wait()


def _wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START
    while True:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=1):
                return
        except OSError as error:
            if process.poll() is not None:
                pytest.fail(f"rtc-server ended at once with exit code {process.returncode}")
            if time.monotonic() > until:
                pytest.fail(f"rtc-server is not ready after {START:g} s: {error}")
            time.sleep(0.05)
