"""How the value of the last expression is shown."""

from __future__ import annotations

import io
import sys
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .files import Folder

_MANY = 5000
"""Items of a container beyond which its repr is not made in full, because it is cut anyway."""


def show(value: Any, limit: int) -> str:
    """Return the value's repr, cut in the middle at ``limit`` characters."""
    module = type(value).__module__.partition(".")[0]
    if module == "pandas":
        text = _table(value)
    elif type(value) in (str, bytes) and len(value) > limit:
        half = limit // 2
        missing = len(value) - 2 * half
        return f"{value[:half]!r} ... [{missing:,} characters cut] ... {value[-half:]!r}"
    elif type(value) in (list, tuple, set, frozenset, dict) and len(value) > _MANY:
        text = f"{_head(value)[:-1]}, ... [{len(value) - _MANY:,} more]{repr(type(value)())[-1]}"
    else:
        text = repr(value)
    return cut(text, limit)


def cut(text: str, limit: int) -> str:
    """Cut the middle out of a long text, and say how much."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n... [{len(text) - 2 * half:,} characters cut] ...\n{text[-half:]}"


def _head(value: Any) -> str:
    if type(value) is dict:
        return repr(dict(islice(value.items(), _MANY)))
    return repr(type(value)(islice(value, _MANY)))


def _table(value: Any) -> str:
    pandas = sys.modules["pandas"]
    with pandas.option_context("display.width", 160, "display.max_columns", 40, "display.max_colwidth", 80):
        return repr(value)


def save_figures(folder: Folder) -> None:
    """Save the open figures of matplotlib, where it is loaded, as ``figure-1.png`` ... of the working folder."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is None:
        return
    for number in pyplot.get_fignums():
        figure = pyplot.figure(number)
        if len(figure.get_children()) < 2:  # its background and nothing else, as `plt.savefig` leaves behind
            continue
        picture = io.BytesIO()
        figure.savefig(picture, format="png", bbox_inches="tight")
        folder.add("figure", "png", picture.getvalue())
    pyplot.close("all")
