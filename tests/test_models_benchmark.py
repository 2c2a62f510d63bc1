"""The benchmarks of models run unattended: the table of tasks, and the figures of a model with random weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import models
from benchmarks.models import main
from benchmarks.solve import Result, table, task_sets
from codeact_tools.models.base import Message, Model
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
@pytest.mark.timeout(1200)
def test_a_model_with_random_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What runs on a GPU with seven billion weights runs here with a few: built, loaded in 4 bits, measured.

    What fails is told by its name, and the rest is measured.
    """
    need_libraries()

    measured = models.together

    async def together(model: Model, whole: list[Message], size: int, written: int) -> float:
        if size == 3:
            raise RuntimeError("no kernel")
        return await measured(model, whole, size, written)

    monkeypatch.setattr("benchmarks.models.together", together)
    file = tmp_path / "figures.json"
    sizes = ["--tokens", "300", "--turns", "3", "--written", "6", "--batch", "2,3"]
    figures = main(["--model", "random:tiny", "--folder", str(tmp_path), *sizes, "--json", str(file)])
    assert json.loads(file.read_text())["model"] == "random-tiny"
    assert figures.read_per_second > 0
    assert len(figures.turn_seconds) == 3
    assert figures.last_turn_cached > 0.7
    assert set(figures.batch_per_second) == {2}
    assert list(figures.failures) == ["3 at once"]
    assert figures.generate_per_second is not None
    assert figures.ways_tokens_per_step["lookup"] >= 1
    assert 0 < figures.session_memory_gb <= figures.memory_gb
    shown = capsys.readouterr().out
    assert "times as long" in shown
    assert "3 at once             not measured: RuntimeError: no kernel" in shown
    late = main(["--model", "random:tiny", "--folder", str(tmp_path), *sizes, "--seconds", "0"])
    assert set(late.failures) == {"turns", "speeds", "generate", "lookup", "2 at once", "3 at once"}
