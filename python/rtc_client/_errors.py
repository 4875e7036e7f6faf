"""What can go wrong."""

from __future__ import annotations


class RtcClientError(Exception):
    """Any of the others."""


class NotInstalled(RtcClientError):
    """The program ``rtc-client`` was not found."""


class CallEnded(RtcClientError):
    """The call is over, and somebody waited for something in it."""

    def __init__(self, code: int | None, outcome: str, stderr: str) -> None:
        self.code = code
        self.outcome = outcome
        self.stderr = stderr
        super().__init__(f"the call is over (exit code {code}): {outcome or stderr.strip() or 'nothing was said'}")


class CommandFailed(RtcClientError):
    """The call did not do what it was asked."""


class TookTooLong(RtcClientError):
    """Something did not happen in time."""


class NotAsExpected(RtcClientError, AssertionError):
    """The call is not what was expected; an assertion, so that test runners tell it as a failure."""
