"""Names of tools and toolkits: any text becomes an identifier that hides nothing, by one predictable rule."""

from __future__ import annotations

import builtins
import keyword
import re
import unicodedata
from typing import Final

from .errors import DefinitionError

_TAKEN: Final = frozenset(keyword.kwlist) | {each for each in dir(builtins) if not each.startswith("_")} | {"tools"}


def identifier(name: str, *, owner: str) -> str:
    """The name by which an action calls a tool.

    What cannot stand in an identifier becomes ``_``, a leading digit gets a ``_`` before it, and a keyword or the name
    of a builtin gets one behind it.

    >>> [identifier(name, owner="") for name in ("search", "get-user", "files.read", "2fa", "class", "max")]
    ['search', 'get_user', 'files_read', '_2fa', 'class_', 'max_']

    Raises:
        DefinitionError: Nothing of ``name`` can stand in an identifier.
    """
    if name.isidentifier() and name.isascii() and name not in _TAKEN:
        return name
    normal = unicodedata.normalize("NFKC", name.strip())
    marked = "".join(each if f"a{each}".isidentifier() else " " for each in normal)
    mapped = re.sub(" +", "_", marked)
    if not mapped.strip("_"):
        raise DefinitionError(f"{owner}: {name!r} cannot be the name of a tool; give it one: @tool(name='...').")
    if not mapped.isidentifier():
        mapped = f"_{mapped}"
    return f"{mapped}_" if mapped in _TAKEN else mapped
