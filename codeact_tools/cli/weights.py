"""Fetches the embedded model's weights, and shows the progress on stderr: a bar, or lines where it is no terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from ..models.weights import DEFAULT_WEIGHTS, fetch, locate
from .output import complain


def fetch_with_progress() -> Path:
    """Return the path of the weights, after downloading them if need be.

    Raises:
        ModelUnavailable: They cannot be downloaded.
    """
    if (path := locate()) is not None:
        return path
    console = Console(stderr=True)
    if not console.is_terminal:
        return fetch(progress=Milestones())
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(DEFAULT_WEIGHTS.name, total=DEFAULT_WEIGHTS.size)
        return fetch(progress=lambda done, total: bar.update(task, completed=done, total=total))


class Milestones:
    """Reports every tenth of a download, a line each: for logs."""

    def __init__(self) -> None:
        self._reported = -1

    def __call__(self, done: int, total: int) -> None:
        """Take the bytes that are done and the bytes in all."""
        tenth = done * 10 // max(total, 1)
        if tenth > self._reported:
            self._reported = tenth
            complain(f"{DEFAULT_WEIGHTS.name}: {done >> 20} of {total >> 20} MiB")
