"""Looking for a message that is about to come: it finds it, and it gives up where that does not pay off."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import ModuleType
from typing import Protocol

import pytest

from codeact_tools.sandbox import lookout as host
from codeact_tools.sandbox.guest import lookout as guest

SIDES = pytest.mark.parametrize("side", [host, guest], ids=["host", "guest"])


class Lookout(Protocol):
    """What the two sides have each for itself."""

    def look(self, take: Callable[[], bytes | None]) -> bytes | None:
        """Look."""
        ...


@pytest.fixture(params=[host.Lookout, guest.Lookout], ids=["host", "guest"])
def lookout(request: pytest.FixtureRequest) -> Lookout:
    """A fresh one of either side."""
    made: Lookout = request.param(0.0001)
    return made


def tries(lookout: Lookout, found: bytes | None = None) -> bool:
    """Whether it looks at all when it is asked once more."""
    looked: list[None] = []

    def take() -> bytes | None:
        looked.append(None)
        return found

    assert lookout.look(take) == (found if looked else None)
    return bool(looked)


def test_it_returns_what_comes(lookout: Lookout) -> None:
    """What is there at the third look is found."""
    answers = iter([None, None, b"there"])
    assert lookout.look(lambda: next(answers)) == b"there"


def test_it_gives_up_soon(lookout: Lookout) -> None:
    """Where nothing comes it ends by itself."""
    started = time.thread_time()
    assert lookout.look(lambda: None) is None
    assert time.thread_time() - started < 1


def test_it_pauses_longer_each_time_that_it_looks_in_vain(lookout: Lookout) -> None:
    """Between two looks in vain are 1, 3, 7 and so on calls for which it does not look, but never more than 255."""
    looked = [tries(lookout) for _ in range(1 + 1 + 1 + 3 + 1 + 7 + 1)]
    assert [n for n, each in enumerate(looked) if each] == [0, 2, 6, 14]
    looked = [tries(lookout) for _ in range(4 * 256)]
    assert sum(looked[-512:]) == 2


def test_finding_something_makes_the_pauses_shorter(lookout: Lookout) -> None:
    """After a few looks that find something, one in vain costs a single pause again."""
    for _ in range(5):
        while not tries(lookout):
            pass
    while not tries(lookout, b"there"):
        pass
    for _ in range(10):
        assert tries(lookout, b"there")
    assert tries(lookout)
    assert [tries(lookout) for _ in range(2)] == [False, True]


@SIDES
@pytest.mark.parametrize("yields", [True, False])
def test_it_leaves_the_core_to_others_where_it_is_told_to(
    side: ModuleType, yields: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits for the core gets it between two tries."""
    yielded: list[None] = []
    monkeypatch.setattr(side, "_yield_core", lambda: yielded.append(None))
    tried: list[None] = []
    side.Lookout(0.0001, yields=yields).look(lambda: tried.append(None))
    assert tried
    assert len(yielded) == (len(tried) if yields else 0)


def test_it_can_skip_looks_at_first() -> None:
    """A guest does not look for the first requests of a session."""
    lookout = guest.Lookout(0.0001, skip=2)
    assert [tries(lookout, b"there") for _ in range(4)] == [False, False, True, True]
