"""Time enough for the questions, on a busy machine, too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from codeact_tools_science import workers


@pytest.fixture(scope="session", autouse=True)
def time_for_the_workers() -> Iterator[None]:
    """A worker may need longer for its libraries than a user would wait; what it answers must not depend on that."""
    defaults = workers.ask.__kwdefaults__
    assert defaults is not None
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(defaults, "seconds", 60.0)
        yield
