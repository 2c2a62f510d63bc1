"""The examples of the docstrings run, in every module of the library."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import codeact_tools
from codeact_tools.testing import ScriptedModel
from tests.shop import search_orders


def modules() -> list[str]:
    """All modules but those of the guest, which run in another interpreter, and the one that is the command."""
    found = [module.name for module in pkgutil.walk_packages(codeact_tools.__path__, "codeact_tools.")]
    return [name for name in found if not name.startswith("codeact_tools.sandbox.guest") and "__main__" not in name]


@pytest.mark.parametrize("name", modules())
def test_examples(name: str) -> None:
    """What a docstring shows is what happens; several use the tool ``search_orders``, and a ``model`` with a script."""
    module = importlib.import_module(name)
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    model = ScriptedModel(["<execute>\nweekday(date(2026, 12, 24))\n</execute>", "On a Thursday."])
    names = {"search_orders": search_orders, "model": model}
    outcome = doctest.testmod(module, extraglobs=names, optionflags=options)
    assert outcome.failed == 0
