"""The byte stream between host and relay, over connections that lose, repeat and cut what is sent."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeact_tools.sandbox.relay.lines import WINDOW, Gap, Lines, Malformed


class End:
    """One end with its inbox, on a connection that a test disturbs."""

    def __init__(self) -> None:
        self.lines = Lines()
        self.got = self.said = b""
        self.out: list[bytes] = []

    def send(self, data: bytes) -> None:
        """Send."""
        self.said += data
        self.out += self.lines.send(data)

    def take(self, line: bytes) -> None:
        """Do what the host and the relay do with a line."""
        try:
            data, again = self.lines.take(line.rstrip(b"\n"))
        except Gap:
            self.out.append(self.lines.question())
            return
        self.got += data
        if again:
            self.out += self.lines.again()
        elif confirmation := self.lines.confirmation():
            self.out.append(confirmation)


@given(st.randoms(use_true_random=False), st.lists(st.binary(max_size=300), max_size=30), st.floats(0, 0.6))
def test_nothing_is_lost_or_repeated(chance: random.Random, messages: list[bytes], loss: float) -> None:
    """Whatever is lost on the way, both ends have the same bytes in the same order once a connection holds."""
    one, two = End(), End()
    for message in messages:
        sender, receiver = chance.choice([(one, two), (two, one)])
        sender.send(message)
        for source, target in ((sender, receiver), (receiver, sender)):
            lines, source.out = source.out, []
            for line in lines:
                if chance.random() >= loss:
                    target.take(line)
    one.out += one.lines.resume()
    two.out += two.lines.resume()
    while one.out or two.out:
        for source, target in ((one, two), (two, one)):
            lines, source.out = source.out, []
            for line in lines:
                target.take(line)
    assert (one.got, two.got) == (two.said, one.said)


def test_large_data_is_confirmed_before_the_window_is_full() -> None:
    """An end that only receives says so in time for the other one to go on."""
    one, two = End(), End()
    for _ in range(4):
        for line in one.lines.send(b"x" * (WINDOW // 2)):
            two.take(line)
        for line in two.out:
            one.take(line)
        two.out.clear()
        assert one.lines.under_way < WINDOW // 2
    assert two.got == b"x" * (2 * WINDOW)


@pytest.mark.parametrize(
    "line", [b"x", b"0 0 0 0", b"-1 0", b"0 1", b"? x", b"? 1", b"0 0 ***", b"9" * 20 + b" 0", b"1"]
)
def test_what_no_honest_end_sends(line: bytes) -> None:
    """A line that is malformed, or confirms what was never sent, is an error."""
    with pytest.raises(Malformed):
        Lines().take(line)
