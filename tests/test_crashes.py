"""Nothing is lost and nothing happens twice, whatever is killed, and whenever."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.crash_runs import LINES

RUNS = 300
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the local sandbox with full Python is Linux's")


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_every_effect_once(tmp_path: Path) -> None:
    """Runs whose host, guest or endpoint is killed at some instant end with the right answer and each effect once."""
    command = [sys.executable, "-m", "tests.crash_runs", str(tmp_path), str(RUNS), "20261122"]
    root = Path(__file__).parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=2300, check=True)
    runs = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(runs) == RUNS
    for run in runs:
        if not run["begun"]:  # it was killed before it was recorded, so nothing of it may have happened
            assert run["lines"] == []
            continue
        assert run["ends"][-1] == {"answer": "The ledger has 7 lines."}, run
        assert sorted(line.split(" 0.")[0] for line in run["lines"]) == sorted(LINES), run
        assert not any("crashed" in end for end in run["ends"]), run
    interrupted = Counter(run["victim"] for run in runs if len(run["ends"]) > 1)
    assert interrupted["host"] > RUNS // 12, "the kills come too late to matter"
    assert interrupted["endpoint"] > RUNS // 12, "the kills come too late to matter"
