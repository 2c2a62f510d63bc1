"""What the tools raise; each message says what to do next, and none holds a password, an address or a path of the host.

SqlError
├── InvalidSql            the database does not understand the statement, or it is not one statement
│   ├── UnknownTable
│   └── UnknownColumn
├── WrongParameters       names or values of the parameters do not fit the statement
├── ReadOnly              the statement would change something
├── NotPermitted          the database refuses it to this user, or to everybody here
├── NotOneValue           a query for one value gives something else
├── TooManyRows           a table would not hold all rows
├── QueryFailed           it went wrong while it ran: a division by zero, a broken constraint, a value too big
├── QueryTimeout          it was stopped at the time limit
└── ConnectionFailed      the database cannot be reached, or refuses the connection
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class SqlError(Exception):
    """Base of the errors of the toolkit `sql`."""


class InvalidSql(SqlError):
    """The database does not understand the statement."""

    line: int | None
    """Of the mistake, from 1."""
    column: int | None
    """Of the mistake within its line, from 1."""

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


class UnknownTable(InvalidSql):
    """There is no such table or view; the message has the nearest names."""


class UnknownColumn(InvalidSql):
    """No table of the statement has such a column; the message has the nearest names."""


class WrongParameters(SqlError):
    """The names or values of the parameters do not fit the statement."""


class ReadOnly(SqlError):
    """The statement would change something, which is not allowed here."""


class NotPermitted(SqlError):
    """The database refuses it: a right is missing, or it is closed here to everybody."""


class NotOneValue(SqlError):
    """A query for one value gives several, or none."""


class TooManyRows(SqlError):
    """A query for a whole table gives more rows than one result may have."""


class QueryFailed(SqlError):
    """The statement went wrong while it ran."""


class QueryTimeout(SqlError):
    """The statement was stopped at the time limit."""


class ConnectionFailed(SqlError):
    """The database cannot be reached, or refuses the connection."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a sentence part with the names that are most like ``name``; empty where none is.

    >>> nearest("custmers", ["orders", "customers"])
    "; did you mean 'customers'?"
    """
    by_folded = {candidate.casefold(): candidate for candidate in known}
    matches = [by_folded[match] for match in get_close_matches(name.casefold(), by_folded, n=3, cutoff=0.6)]
    return f"; did you mean {' or '.join(map(repr, matches))}?" if matches else ""
