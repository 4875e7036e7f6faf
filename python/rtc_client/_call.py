"""One call: a process, its events, and the commands it takes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal

from ._errors import CallEnded, CommandFailed, NotAsExpected, NotInstalled, TookTooLong

Event = dict[str, Any]
"""One event, as docs/events.md describes it; ``event["event"]`` is its kind."""

Kind = Literal["audio", "video"]

PATIENCE = 30.0
"""Seconds for which anything is waited for unless told otherwise."""

LONGEST_LINE = 16 * 1024 * 1024
"""A line of statistics of a large room is long; one beyond this is a fault."""

KEPT_EVENTS = 100_000
"""Events that are kept to be looked for; of more, the oldest are forgotten."""


@dataclass(frozen=True)
class Expectation:
    """What came of one expectation."""

    expected: str
    held: bool
    words: str
    measured: dict[str, float | None]
    """By the names of the peers, in the unit of the quantity: milliseconds, dB, bit/s, a share of 1."""

    @staticmethod
    def of(told: dict[str, Any]) -> Expectation:
        return Expectation(told["expected"], told["held"], told["words"], dict(told["measured"]))


@dataclass(frozen=True)
class Verdict:
    """What came of some expectations."""

    expectations: tuple[Expectation, ...]

    @property
    def held(self) -> bool:
        """Whether all of them held."""
        return all(one.held for one in self.expectations)

    def require(self) -> Verdict:
        """Raises :class:`NotAsExpected` with what was measured and when, unless all held."""
        broken = [f"{one.expected}: {one.words}" for one in self.expectations if not one.held]
        if broken:
            raise NotAsExpected("\n".join(broken))
        return self


def program() -> str:
    """Where ``rtc-client`` is: the variable ``RTC_CLIENT``, or the search path."""
    found = os.environ.get("RTC_CLIENT") or shutil.which("rtc-client")
    if not found:
        raise NotInstalled("rtc-client is not installed: cargo install --locked --path client, or set RTC_CLIENT to where it is")
    return found


class Call:
    """A call. Made by :func:`join`; leaving its ``async with`` hangs up."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._arguments = list(arguments)
        self._process: asyncio.subprocess.Process | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Event]] = {}
        self._news = asyncio.Condition()
        self._over = False
        self._forgotten = 0
        self._stderr = ""
        self.events: list[Event] = []
        """Everything that happened so far."""
        self.summary: Event | None = None
        """The last event, once the call is over."""
        self.code: int | None = None
        """The exit code, once the call is over."""

    async def __aenter__(self) -> Call:
        self._process = await asyncio.create_subprocess_exec(
            program(),
            *self._arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LONGEST_LINE,
        )
        self._tasks = [asyncio.create_task(self._read_events()), asyncio.create_task(self._read_errors())]
        try:
            await self.wait_for("joined")
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(CallEnded, TookTooLong, CommandFailed):
            await self.hang_up()
        await self._end()

    # --- what happens ---

    async def wait_for(
        self,
        event: str,
        wanted: Callable[[Event], bool] | None = None,
        *,
        timeout: float = PATIENCE,
        **members: Any,
    ) -> Event:
        """Waits for an event of this kind with these members, which may have come before.

        Raises :class:`CallEnded` where the call is over without it, and :class:`TookTooLong` after ``timeout`` seconds.
        """
        _, found = await self._find(event, wanted, members, timeout=timeout)
        return found

    async def _find(
        self,
        event: str,
        wanted: Callable[[Event], bool] | None = None,
        members: dict[str, Any] | None = None,
        *,
        first: int = 0,
        timeout: float = PATIENCE,
    ) -> tuple[int, Event]:
        """As :meth:`wait_for`, from event number ``first`` on; gives the number of what it found, too. Those that are forgotten count."""
        members = members or {}

        def fits(candidate: Event) -> bool:
            if candidate["event"] != event or (wanted is not None and not wanted(candidate)):
                return False
            return all(candidate.get(name) == value for name, value in members.items())

        async with self._news:
            try:
                async with asyncio.timeout(timeout) if hasattr(asyncio, "timeout") else _Timeout(timeout):
                    while True:
                        first = max(first, self._forgotten)
                        for number, candidate in enumerate(self.events[first - self._forgotten :], first):
                            if fits(candidate):
                                return number, candidate
                        first = self._so_far()
                        if self._over:
                            raise self._ended()
                        await self._news.wait()
            except TimeoutError:
                last = self.events[-1] if self.events else "nothing"
                raise TookTooLong(f"no {event} {members or ''} in {timeout:g} s; the last that happened: {last}") from None

    def _so_far(self) -> int:
        """How many events came so far; the next has this number."""
        return self._forgotten + len(self.events)

    async def follow(self) -> AsyncIterator[Event]:
        """Every event from the beginning on, as it comes, up to the end of the call."""
        seen = 0
        while True:
            async with self._news:
                await self._news.wait_for(lambda: self._over or self._so_far() > seen)
                fresh = self.events[max(seen - self._forgotten, 0) :]
                seen = self._so_far()
                over = self._over
            for event in fresh:
                yield event
            if over:
                return

    # --- what is asked of it ---

    async def mute(self, what: Kind) -> None:
        """Silence or black goes out."""
        await self.command("mute", what=what)

    async def unmute(self, what: Kind) -> None:
        """No more."""
        await self.command("unmute", what=what)

    async def source(self, what: Kind, source: str) -> None:
        """Takes picture or sound from another source, as ``--video`` and ``--audio`` name it, and waits until it is there."""
        first = self._so_far()
        await self.command("source", what=what, source=source)
        await self._find("source-changed", members={"kind": what}, first=first)

    async def hold(self) -> None:
        """Nothing is sent and nothing taken."""
        await self.command("hold")

    async def unhold(self) -> None:
        """No more."""
        await self.command("unhold")

    async def chat(self, text: str) -> None:
        """A line of chat to everybody."""
        await self.command("chat", text=text)

    async def open_channel(
        self,
        label: str,
        *,
        ordered: bool = True,
        max_retransmits: int | None = None,
        max_packet_life_time: int | None = None,
        protocol: str = "",
        id: int | None = None,
        peer: str | None = None,
    ) -> Channel:
        """Opens a data channel to everybody who is connected, or to one of them; gives the first that is open.

        ``max_packet_life_time`` is in milliseconds; ``id`` makes it a negotiated one, which both sides open.
        """
        first = self._so_far()
        wishes = {
            "maxRetransmits": max_retransmits,
            "maxPacketLifeTime": max_packet_life_time,
            "negotiatedId": id,
            "peer": peer,
        }
        given: dict[str, Any] = {name: value for name, value in wishes.items() if value is not None}
        await self.command("open-channel", label=label, ordered=ordered, protocol=protocol, **given)
        _, event = await self._find("channel-opened", members={"label": label}, first=first)
        return self._opened(event)

    async def channel(self, label: str, *, after: int = 0, timeout: float = PATIENCE) -> Channel:
        """Waits for a channel of this label, by whomever it was opened, and passes over the first ``after`` of them."""
        seen = 0

        def is_new(event: Event) -> bool:
            nonlocal seen
            seen += int(event["label"] == label)
            return bool(event["label"] == label and seen > after)

        event = await self.wait_for("channel-opened", is_new, timeout=timeout)
        return self._opened(event)

    def _opened(self, event: Event) -> Channel:
        return Channel(self, event["channel"], event["label"], event["protocol"], event["peer"]["name"])

    async def dial(self, keys: str) -> None:
        """Keys of a telephone (DTMF)."""
        await self.command("dial", keys=keys)

    async def stats(self) -> dict[str, dict[str, Any]]:
        """``RTCStatsReport`` of every connection, by the id of the peer."""
        result = await self.command("stats")
        return dict(result)

    async def restart_ice(self) -> None:
        """New ways are sought to everybody."""
        await self.command("restart-ice")

    async def impair(self, spec: str = "") -> None:
        """Makes our network worse, as ``--impair`` says; without a word as good as it is."""
        await self.command("impair", spec=spec)

    async def check(self, *expectations: str) -> Verdict:
        """What came of the call so far, held to these."""
        result = await self.command("check", expect=list(expectations))
        return Verdict(tuple(Expectation.of(one) for one in result))

    async def command(self, do: str, *, timeout: float = PATIENCE, **members: Any) -> Any:
        """Any command of docs/control.md; gives its result."""
        number = next(self._ids)
        answer: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        try:
            # A member of the same name is none of the command's: its answer would not be known.
            await self._write({**members, "id": number, "do": do})
            try:
                event = await asyncio.wait_for(answer, timeout)
            except asyncio.TimeoutError:
                raise TookTooLong(f"{do} was not answered in {timeout:g} s") from None
        finally:
            self._answers.pop(number, None)
        if "error" in event:
            raise CommandFailed(f"{do}: {event['error']}")
        return event.get("result")

    async def hang_up(self, *, timeout: float = PATIENCE) -> Event:
        """Ends the call and gives its summary; where it is over already, just that."""
        if not self._over:
            with contextlib.suppress(CallEnded):
                await self._write({"do": "hang-up"})
        return await self.wait_for("summary", timeout=timeout)

    @property
    def verdict(self) -> Verdict:
        """What came of the expectations the call was joined with, once it is over."""
        told = (self.summary or {}).get("expectations", [])
        return Verdict(tuple(Expectation.of(one) for one in told))

    # --- the process ---

    async def _write(self, command: Event) -> None:
        process = self._process
        if process is None or process.stdin is None or self._over:
            raise self._ended()
        try:
            process.stdin.write(json.dumps(command).encode() + b"\n")
            await process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            raise self._ended() from None

    async def _read_events(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        try:
            async for line in self._process.stdout:
                event: Event = json.loads(line)
                if event["event"] == "answer":
                    waiting = self._answers.get(event["id"]) if isinstance(event["id"], int) else None
                    if waiting is not None and not waiting.done():
                        waiting.set_result(event)
                await self._tell(event)
        finally:
            self.code = await self._process.wait()
            async with self._news:
                self._over = True
                self._news.notify_all()
            for waiting in self._answers.values():
                if not waiting.done():
                    waiting.set_exception(self._ended())

    async def _tell(self, event: Event) -> None:
        async with self._news:
            self.events.append(event)
            if len(self.events) > KEPT_EVENTS:
                del self.events[0]
                self._forgotten += 1
            if event["event"] == "summary":
                self.summary = event
            self._news.notify_all()

    async def _read_errors(self) -> None:
        assert self._process is not None and self._process.stderr is not None
        async for line in self._process.stderr:
            # The end of it is what explains an end.
            self._stderr = (self._stderr + line.decode(errors="replace"))[-20_000:]

    async def _end(self) -> None:
        process = self._process
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(asyncio.gather(*self._tasks, return_exceptions=True), 10)
        except asyncio.TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _ended(self) -> CallEnded:
        outcome = str((self.summary or {}).get("outcome", ""))
        return CallEnded(self.code, outcome, self._stderr)


class Channel:
    """An open data channel. Made by :meth:`Call.open_channel` and :meth:`Call.channel`."""

    def __init__(self, call: Call, number: int, label: str, protocol: str, peer: str) -> None:
        self._call = call
        # The number of the first event that may be a message not given yet.
        self._next = 0
        self.number = number
        """What the call's events and commands call it."""
        self.label = label
        self.protocol = protocol
        self.peer = peer
        """The name of who is at its other end."""

    async def send(self, message: str | bytes) -> int:
        """Sends text or bytes; gives how many bytes are not yet known to have arrived.

        Raises :class:`CommandFailed` while the channel is full.
        """
        if isinstance(message, str):
            result = await self._call.command("send", channel=self.number, text=message)
        else:
            result = await self._call.command("send", channel=self.number, data=base64.b64encode(message).decode())
        return int(result["bufferedAmount"])

    async def receive(self, *, timeout: float = PATIENCE) -> str | bytes:
        """The next message: text, or bytes."""
        members = {"channel": self.number}
        found, event = await self._call._find("channel-message", members=members, first=self._next, timeout=timeout)
        self._next = found + 1
        return str(event["text"]) if "text" in event else base64.b64decode(event["data"])

    async def close(self) -> None:
        """Closes it, after what was sent before."""
        await self._call.command("close-channel", channel=self.number)


class _Timeout:
    """``asyncio.timeout`` for Python 3.10."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._over = False
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None

        def cancel() -> None:
            self._over = True
            task.cancel()

        self._timer = asyncio.get_running_loop().call_later(self._seconds, cancel)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._over and kind is asyncio.CancelledError:
            raise TimeoutError from None


def join(
    room: str,
    *,
    server: str | None = None,
    name: str | None = None,
    video: str | None = None,
    audio: str | None = None,
    impair: str | None = None,
    expect: Sequence[str] = (),
    headless: bool = True,
    arguments: Sequence[str] = (),
) -> Call:
    """A call in a room, to be used with ``async with``.

    ``video`` and ``audio`` are sources as the command line has them (``test``, ``tone:660``, ``file:clip.webm``); without a word a
    headless call sends the test picture and a tone. ``arguments`` are any others of ``rtc-client join --help``.
    """
    all_arguments = ["join", room, "--json", "--control"]
    if headless:
        all_arguments.append("--headless")
    for flag, value in (("--server", server), ("--as", name), ("--video", video), ("--audio", audio), ("--impair", impair)):
        if value is not None:
            all_arguments += [flag, value]
    for one in expect:
        all_arguments += ["--expect", one]
    return Call([*all_arguments, *arguments])
