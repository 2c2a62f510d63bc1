"""The benchmarks of models run unattended: the table of tasks, and the figures of a model with random weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.models import main
from benchmarks.solve import Result, table, task_sets
from tests.smol import need_libraries


def test_every_task_module_is_found() -> None:
    """All modules of `benchmarks.tasks` are task sets: at least forty tasks over five toolkits, each with its name."""
    sets = {tasks.name: tasks for tasks in task_sets("all")}
    assert sets["calendar"].tools == ("calendar",)
    assert all(len({task.name for task in tasks.tasks}) == len(tasks.tasks) for tasks in sets.values())
    assert len(sets) >= 5
    assert sum(len(tasks.tasks) for tasks in sets.values()) >= 40


def test_an_unknown_task_module() -> None:
    """The message says which there are."""
    with pytest.raises(SystemExit, match=r"no tasks called nope; there are .*calendar"):
        task_sets("calendar,nope")


def test_the_table() -> None:
    """A line per toolkit, and one for all."""

    def result(toolkit: str, *, solved: bool) -> Result:
        return Result(
            toolkit=toolkit, task="t", solved=solved, turns=2, read=100, cached=50, written=10, seconds=1.5, answer="a"
        )

    lines = table([result("files", solved=True), result("files", solved=False), result("sql", solved=True)])
    assert [line.split() for line in lines.splitlines()] == [
        ["toolkit", "solved", "turns", "read", "written", "seconds"],
        ["files", "1", "of", "2", "4", "200", "20", "3"],
        ["sql", "1", "of", "1", "2", "100", "10", "2"],
        ["all", "2", "of", "3", "6", "300", "30", "4"],
    ]


@pytest.mark.transformers
@pytest.mark.timeout(400)
def test_a_model_with_random_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What runs on a GPU with seven billion weights runs here with a few: built, loaded in 4 bits, measured."""
    need_libraries()
    file = tmp_path / "figures.json"
    figures = main(
        ["--model", "random:tiny", "--folder", str(tmp_path), "--tokens", "300", "--turns", "3", "--written", "6",
         "--batch", "2", "--json", str(file)]
    )  # fmt: skip
    assert json.loads(file.read_text())["model"] == "random-tiny"
    assert figures.read_per_second > 0
    assert len(figures.turn_seconds) == 3
    assert figures.last_turn_cached > 0.7
    assert set(figures.batch_per_second) == {2}
    assert figures.plain_per_second is not None
    assert "times as long" in capsys.readouterr().out
