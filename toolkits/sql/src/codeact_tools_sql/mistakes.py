"""From a driver's error to one that says what to write instead."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from difflib import get_close_matches
from typing import Final

from .databases.base import Connection, Database, Mistake
from .errors import (
    ConnectionFailed,
    InvalidSql,
    NotPermitted,
    QueryFailed,
    ReadOnly,
    SqlError,
    UnknownColumn,
    UnknownTable,
    WrongParameters,
    nearest,
)
from .schema import TableSummary
from .statements import Statement

_WINDOW: Final = 70
"""Characters of a long line that are shown around a mistake."""
_LISTED: Final = 20
"""Names in a message."""
_CAUSES: Final = {
    r"password|authentication|28P01|28000|Access denied": "it refuses the user or the password",
    r"no such file|unable to open database file|does not exist|Unknown database": "there is no such database",
    r"refused|timed? ?out|resolve|unreachable|not known|No such file": "nobody answers at its address",
    r"locked|lock on|busy|too many|different configuration": "others hold it; try again later",
    r"not a database|malformed|not a valid": "it is broken, or of another kind",
}


def explained(error: Exception, database: Database, statement: Statement | None, *, writing: bool = False) -> SqlError:
    """The error that the action gets for one of a driver.

    Args:
        error: The driver's.
        database: Where it happened; for unknown names it is asked for the known ones.
        statement: What was to be done, if it was a statement.
        writing: Whether it was allowed to change something.
    """
    mistake = database.mistake(error, statement)
    message = _clean(mistake.message, database)
    match mistake.kind:
        case "table":
            tables = _tables(database)
            hint = nearest(mistake.name, tables) or f"; there are {_listed(tables)}"
            return _pointed(UnknownTable, f"no table or view is named {mistake.name!r}{hint}", mistake, statement)
        case "column":
            return _pointed(UnknownColumn, _unknown_column(mistake, database, statement), mistake, statement)
        case "syntax":
            return _pointed(InvalidSql, f"{database.product} cannot run it: {message}", mistake, statement)
        case "parameters":
            return WrongParameters(
                f"{database.product} cannot take the parameters: {message}; write each as :name in the "
                f"statement, and its value (text, a number, a date, None) in params"
            )
        case "read only" if not writing:
            return ReadOnly(f"the database is open for reading only: {message}; write one query, such as a SELECT")
        case "read only" | "rights":
            return NotPermitted(f"{database.product} refuses it: {message}; do it without, or ask for the right")
        case "role":
            return ConnectionFailed(
                f"the database is not opened: {message}, so that even a query could write files; the operator should "
                f"give the tools a role of their own, without these rights"
            )
        case "connection":
            return ConnectionFailed(_unreachable(mistake, database))
        case "stopped":
            return QueryFailed(f"{database.product} stopped it: {message}; simplify it, or try again later")
    return QueryFailed(f"{database.product}: {message}")


def _clean(message: str, database: Database) -> str:
    """In one line, without what is nobody's business."""
    for secret in (database.path, *database.secrets):
        message = message.replace(secret, "…") if secret else message
    return re.sub(r"\s+", " ", message).strip().rstrip(".")


def _unreachable(mistake: Mistake, database: Database) -> str:
    """In our own words: the driver's have hosts, users and paths."""
    causes = (words for pattern, words in _CAUSES.items() if re.search(pattern, mistake.message, re.IGNORECASE))
    cause = next(causes, "the connection failed")
    return f"the {database.product} database cannot be used: {cause}. The operator should check CODEACT_SQL_URL"


def _tables(database: Database) -> dict[str, TableSummary]:
    with suppress(Exception), database.connect() as connection:  # the hint is a courtesy; the error itself counts
        return _by_name(connection)
    return {}


def _by_name(connection: Connection) -> dict[str, TableSummary]:
    return {table.name: table for table in connection.tables()}


def _unknown_column(mistake: Mistake, database: Database, statement: Statement | None) -> str:
    name = mistake.name.rpartition(".")[2]
    source = statement.source.casefold() if statement else ""
    every = list(_tables(database).values())
    used = [table for table in every if _is_in(table.name, source)]
    owners = [each.name for each in every if name.casefold() in (column.casefold() for column in each.columns)]
    columns = [column for table in used for column in table.columns]
    near = get_close_matches(name.casefold(), [column.casefold() for column in columns], n=1)
    known = "; ".join(f"{table.name} has {_listed(table.columns)}" for table in used[:4])
    missing = f"no column is named {mistake.name!r}"
    if owners:
        return f"{missing}; {name!r} is a column of {_listed(owners)}{f' ({known})' if known else ''}"
    if near:
        return f"{missing}{nearest(name, columns)}{f' ({known})' if known else ''}"
    return f"{missing}{f'; {known}' if known else ''}"


def _is_in(table: str, source: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(table.rpartition('.')[2].casefold())}(?!\w)", source) is not None


def _listed(names: Iterable[str]) -> str:
    found = list(names)
    more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    return f"{', '.join(found[:_LISTED])}{more}" if found else "none"


def _pointed(kind: type[InvalidSql], message: str, mistake: Mistake, statement: Statement | None) -> InvalidSql:
    """An error with the place of the mistake, which the message shows."""
    if mistake.offset is None or statement is None:
        return kind(message)
    before, source = statement.source[: mistake.offset], statement.source
    line, column = before.count("\n") + 1, mistake.offset - before.rfind("\n")
    text = source.split("\n")[line - 1].expandtabs(1)
    start = max(0, column - 1 - _WINDOW // 2) if len(text) > _WINDOW else 0
    shown = text[start : start + _WINDOW]
    pointer = " " * (column - 1 - start) + "^"
    return kind(f"{message}\nline {line}, column {column}:\n  {shown}\n  {pointer}", line, column)
