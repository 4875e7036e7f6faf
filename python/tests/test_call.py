"""Real calls between real processes."""

from __future__ import annotations

import asyncio

import pytest

import rtc_client


async def test_two_see_each_other_and_what_came_of_it_is_told(rtc_server: str, rtc_room: str) -> None:
    async with rtc_client.join(rtc_room, server=rtc_server, name="ann", arguments=["--size", "320x180"]) as ann:
        expected = ["connect<20s", "video.repeated==0"]
        bob = rtc_client.join(rtc_room, server=rtc_server, name="bob", expect=expected, arguments=["--size", "320x180"])
        async with bob:
            first = await bob.wait_for("first-frame", kind="video")
            assert first["peer"]["name"] == "ann"
            await bob.wait_for("stats")
            await ann.mute("audio")
            await bob.wait_for("peer-muted", kind="audio", muted=True)
            reports = await bob.stats()
            kinds = {member["type"] for report in reports.values() for member in report.values()}
            assert "inbound-rtp" in kinds
            verdict = await bob.check("video.frames>=1", "video.fps>=1000")
            assert [one.held for one in verdict.expectations] == [True, False]
            with pytest.raises(rtc_client.NotAsExpected, match="video.fps>=1000"):
                verdict.require()
        assert bob.code == 0
        assert bob.verdict.held and len(bob.verdict.expectations) == 2
    assert ann.code == 0
    assert ann.summary is not None and ann.summary["outcome"] == "hung up"


async def test_a_worse_network_is_worse(rtc_server: str, rtc_room: str) -> None:
    async with rtc_client.join(rtc_room, server=rtc_server, name="ann") as ann:
        async with rtc_client.join(rtc_room, server=rtc_server, name="bob") as bob:
            await bob.wait_for("stats")
            assert (await bob.check("video.latency.max<5s")).held
            await ann.impair("up:delay=300ms")
            while (await bob.check("video.latency.last<250ms")).held:
                await asyncio.sleep(0.1)


async def test_what_is_none_is_said_and_the_call_goes_on(rtc_server: str, rtc_room: str) -> None:
    async with rtc_client.join(rtc_room, server=rtc_server) as call:
        with pytest.raises(rtc_client.CommandFailed, match='did you mean "stats"'):
            await call.command("statss")
        with pytest.raises(rtc_client.CommandFailed, match="Did you mean video.fps"):
            await call.check("video.fsp>=25")
        assert await call.stats() == {}
        with pytest.raises(rtc_client.TookTooLong, match="no first-frame"):
            await call.wait_for("first-frame", timeout=0.2)
        kinds = []
        await call.hang_up()
        async for event in call.follow():
            kinds.append(event["event"])
        assert kinds[0] == "joined" and kinds[-1] == "summary"
        with pytest.raises(rtc_client.CallEnded, match="hung up"):
            await call.wait_for("first-frame")


async def test_a_server_that_is_not_there_is_an_error_with_its_words() -> None:
    with pytest.raises(rtc_client.CallEnded, match="127.0.0.1:9") as caught:
        async with rtc_client.join("foo", server="http://127.0.0.1:9"):
            pass
    assert caught.value.code == 3


async def test_a_program_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RTC_CLIENT", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(rtc_client.NotInstalled, match="cargo install"):
        async with rtc_client.join("foo"):
            pass


async def test_channels_carry_text_and_bytes(rtc_server: str, rtc_room: str) -> None:
    quiet = ["--video", "none", "--audio", "none"]
    async with rtc_client.join(rtc_room, server=rtc_server, name="ann", arguments=quiet) as ann:
        async with rtc_client.join(rtc_room, server=rtc_server, name="bob", arguments=quiet) as bob:
            await bob.wait_for("connected")
            await ann.wait_for("connected")
            ours = await ann.open_channel("game", ordered=False, max_retransmits=0, protocol="moves")
            theirs = await bob.channel("game")
            assert (theirs.protocol, theirs.peer) == ("moves", "ann")
            await ours.send("e2e4")
            assert await theirs.receive() == "e2e4"
            await theirs.send(b"\x00\xff")
            assert await ours.receive() == b"\x00\xff"
            await ours.close()
            await bob.wait_for("channel-closed", label="game")
            agreed = [await call.open_channel("agreed", id=300) for call in (ann, bob)]
            await agreed[0].send("both opened it")
            assert await agreed[1].receive() == "both opened it"


async def test_no_member_takes_the_place_of_what_a_command_is_known_by(rtc_server: str, rtc_room: str) -> None:
    async with rtc_client.join(rtc_room, server=rtc_server) as call:
        assert await call.command("stats", timeout=10, id="mine") == {}


async def test_messages_come_in_order_also_when_the_first_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtc_client._call.KEPT_EVENTS", 4)
    call = rtc_client.Call([])
    channel = rtc_client.Channel(call, 1, "game", "", "ann")
    for number in range(20):
        for sent in (number, -number):
            await call._tell({"event": "channel-message", "channel": 1, "text": str(sent)})
        for sent in (number, -number):
            assert await channel.receive(timeout=1) == str(sent)
