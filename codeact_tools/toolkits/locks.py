"""The lock file: what each toolkit was when somebody read and accepted it.

It holds what reaches the model and what is granted: signatures, docs, types, effects, hosts, secrets, packages; as
text, so that a diff of the file can be read, and as hashes, so that a change of the text is noticed. It holds no code:
what a tool does behind an unchanged signature is for your installer's hashes (``pip install --require-hashes``).
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import ConfigurationError
from ..registry import ToolRegistry
from ..rendering import doc_lines
from ..settings import settings_of
from ..specs import ToolSpec
from ..tools import Toolkit
from .installed import InstalledToolkit

LOCK: Final = "CODEACT_TOOLS_LOCK"
"""Environment variable with the path of the lock; set to nothing, no lock is used."""

LOCK_FILE: Final = "codeact-tools.lock"
"""The lock in the working folder, which is used where the environment names none."""

FORMAT: Final = 1
_HEAD: Final = """\
# The toolkits as they were accepted. `codeact-tools toolkits lock` writes this file; keep it under version control, and
# read its diff: every line of it reaches the model, or says what the tools may reach.
"""
_EFFECTS: Final = ("destructive", "idempotent", "open_world", "read_only")
_STRICT: Final = ConfigDict(frozen=True, extra="forbid")


class LockedTool(BaseModel):
    """One tool as it was accepted."""

    model_config = _STRICT

    signature: str
    """Python source of the head of the function, with constraints."""
    effects: tuple[str, ...] = ()
    """Those that are declared, and ``approval``."""
    raises: tuple[str, ...] = ()
    """Names of the declared errors."""
    description: tuple[str, ...] = ()
    """The docs, line by line."""
    schema_hash: str = ""
    """Of signature, effects, errors, and the types that they mention."""
    description_hash: str = ""
    """Of the docs, and of those of the types."""


class LockedToolkit(BaseModel):
    """One toolkit as it was accepted."""

    model_config = _STRICT

    distribution: str = ""
    version: str = ""
    """Of the distribution; that it alone has changed is no reason to refuse the toolkit."""
    summary: str = ""
    instructions: tuple[str, ...] = ()
    demonstrations: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    types: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    """Source of each class as the model reads it, line by line."""
    tools: Mapping[str, LockedTool] = Field(default_factory=dict)

    def reachable(self, *texts: str) -> set[str]:
        """Names of the types that texts mention, directly or through other types."""
        pending, found = list(texts), set[str]()
        while pending:
            for name in set(re.findall(r"\w+", pending.pop())) & (self.types.keys() - found):
                found.add(name)
                pending.append(skeleton(self.types[name]))
        return found

    def hashed(self) -> LockedToolkit:
        """The same, with the hashes of its tools."""
        return self.model_copy(update={"tools": {name: self._hashed(tool) for name, tool in self.tools.items()}})

    def _hashed(self, tool: LockedTool) -> LockedTool:
        types = sorted(self.reachable(tool.signature, *tool.raises))
        schema = [tool.signature, tool.effects, tool.raises, [[name, skeleton(self.types[name])] for name in types]]
        description = [tool.description, [[name, self.types[name]] for name in types]]
        return tool.model_copy(update={"schema_hash": _hash(schema), "description_hash": _hash(description)})


class Lock(BaseModel):
    """Toolkits by name, as they were accepted."""

    model_config = _STRICT

    format: int = FORMAT
    toolkits: Mapping[str, LockedToolkit] = Field(default_factory=dict)
    path: Path | None = Field(default=None, exclude=True)
    """Where it was read."""

    @property
    def text(self) -> str:
        """The lock as TOML, in an order that depends on the names alone."""
        parts = [_HEAD, f"format = {self.format}\n"]
        for name, toolkit in sorted(self.toolkits.items()):
            parts += _section(("toolkits", name), toolkit.model_dump(exclude={"tools", "types"}))
            if toolkit.types:
                parts += _section(("toolkits", name, "types"), dict(sorted(toolkit.types.items())))
            for tool, details in sorted(toolkit.tools.items()):
                parts += _section(("toolkits", name, "tools", tool), details.model_dump())
        return "".join(parts)


def locked(toolkit: Toolkit, record: InstalledToolkit) -> LockedToolkit:
    """Return what a lock holds of a toolkit as it is now; its configuration is not made.

    Raises:
        DeveloperError: One of its tools cannot be registered.
    """
    registry = ToolRegistry([replace(toolkit, config=None)])
    secrets = {(each.variables or (each.name,))[0] for each in settings_of(toolkit) if each.secret}
    types = registry.catalog.types.values()
    return LockedToolkit(
        distribution=record.distribution,
        version=record.version,
        summary=toolkit.summary,
        instructions=tuple(toolkit.instructions.splitlines()),
        demonstrations=tuple(line for each in toolkit.demonstrations for line in each.text.splitlines()),
        hosts=tuple(sorted(toolkit.hosts)),
        secrets=tuple(sorted(secrets)),
        packages=tuple(sorted(toolkit.packages)),
        types={each.name: tuple(each.source().splitlines()) for each in types if each.kind != "import"},
        tools={spec.name: _locked(spec) for spec in registry.specs},
    ).hashed()


def _locked(spec: ToolSpec) -> LockedTool:
    head = "async def" if spec.kind in ("coroutine", "async_generator") else "def"
    effects = [word for word in _EFFECTS if getattr(spec.effects, word)]
    return LockedTool(
        signature=f"{head} {spec.signature()}",
        effects=tuple(["approval"] * spec.approval + effects),
        raises=tuple(sorted({each.name for each in spec.raises})),
        description=tuple("\n".join(doc_lines(spec)).splitlines()),
    )


def find_lock() -> Lock | None:
    """Read the lock that `LOCK` names, else `LOCK_FILE` in the working folder; None where there is none.

    A lock can only refuse a toolkit, never enable one, so that one which lies in a strange folder does no harm.

    Raises:
        ConfigurationError: It cannot be read.
    """
    named = os.environ.get(LOCK)
    if named is not None:
        return read_lock(named) if named else None
    return read_lock(LOCK_FILE) if Path(LOCK_FILE).exists() else None


def read_lock(source: Lock | Path | str | None) -> Lock | None:
    """Read a lock file; a lock passes as it is, and None stands for none.

    Raises:
        ConfigurationError: It cannot be read, is no lock, or was changed by hand.
    """
    if source is None or isinstance(source, Lock):
        return source
    try:
        lock = Lock.model_validate({**tomllib.loads(Path(source).read_text("utf-8")), "path": source})
    except OSError as error:
        raise ConfigurationError(
            f"The lock {str(source)!r} cannot be read ({error.strerror}); "
            f"`codeact-tools toolkits lock --file {source}` writes one."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError) as error:
        what = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise ConfigurationError(f"{str(source)!r} is no lock of toolkits: {what}.") from error
    if lock.format != FORMAT:
        raise ConfigurationError(
            f"The lock {str(source)!r} has format {lock.format}, and this version of codeact-tools writes format "
            f"{FORMAT}; remove it, and make it anew: codeact-tools toolkits lock --file {source}"
        )
    for name, toolkit in lock.toolkits.items():
        for tool, expected in toolkit.hashed().tools.items():
            if toolkit.tools[tool] != expected:
                raise ConfigurationError(
                    f"The lock {str(source)!r} was changed by hand: the hashes of {name}.{tool} are not those of its "
                    f"text. Take it from version control, or remove it, and make it anew: "
                    f"codeact-tools toolkits lock --file {source}"
                )
    return lock


def skeleton(source: Iterable[str]) -> str:
    """A class without its docs and comments.

    >>> skeleton(['class Order:', '    \\"\\"\\"An order.\\"\\"\\"', '    id: str  # Its number.'])
    'class Order:\\n    id: str'
    """
    text = "\n".join(source)
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return text
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _hash(value: object) -> str:
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _section(path: tuple[str, ...], fields: Mapping[str, object]) -> Iterator[str]:
    yield f"\n[{'.'.join(map(_key, path))}]\n"
    for name, value in fields.items():
        if isinstance(value, tuple):
            items = [_string(str(each)) for each in value]
            short = f"[{', '.join(items)}]"
            is_text = path[-1] == "types" or name in ("description", "instructions", "demonstrations")
            yield f"{_key(name)} = {_lines(items) if items and (is_text or len(short) > 90) else short}\n"
        else:
            yield f"{_key(name)} = {_string(str(value))}\n"


def _lines(items: list[str]) -> str:
    return "[\n" + "".join(f"    {item},\n" for item in items) + "]"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _string(name)


def _string(text: str) -> str:
    """A TOML string: JSON's escapes are among TOML's. What a terminal does not show is escaped, to be seen in a diff.

    >>> _string('a "word"')
    '\\'a "word"\\''

    >>> _string('say "hi"\\u200b')
    '"say \\\\"hi\\\\"\\\\u200b"'
    """
    if ('"' in text or "\\" in text) and "'" not in text and text.isprintable():
        return f"'{text}'"  # TOML's literal string: nothing in it is escaped
    shown = json.dumps(text, ensure_ascii=False)
    return "".join(each if each.isprintable() else _escaped(each) for each in shown)


def _escaped(character: str) -> str:
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"
