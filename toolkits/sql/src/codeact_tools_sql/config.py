"""The configuration: which database, what is allowed, how much a statement may take."""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

ENFORCED: Final = ("sqlite", "duckdb", "postgresql")
"""The databases that this toolkit can open so that the database itself refuses to change anything."""

SAMPLE: Final = "sample://"
_SAMPLE_NAME: Final = SAMPLE.removesuffix("://")
_DRIVERS: Final = {"sqlite": "pysqlite", "duckdb": "", "postgresql": "psycopg"}
_EMBEDDED: Final = ("sqlite", "duckdb")


class SqlConfig(BaseSettings):
    """Which database, and how much a statement may take; each field is an environment variable, ``CODEACT_SQL_URL``.

    >>> SqlConfig(url="sqlite:///shop.db", max_rows=200).product
    'sqlite'

    Raises:
        ValidationError: The URL cannot be read, or read-only cannot be had with it. The message never shows the URL.
    """

    model_config = SettingsConfigDict(env_prefix="CODEACT_SQL_", frozen=True, hide_input_in_errors=True, extra="forbid")

    url: SecretStr | None = None
    """``sqlite:///shop.db``, ``duckdb:////data/shop.duckdb``, ``postgresql://reader:…@host/shop``; ``sample://`` is a
    small shop in memory, for examples and first steps."""
    writable: bool = False
    """Whether `execute` may change the database; queries cannot, whatever this says."""
    allow_unenforced: bool = False
    """Whether to open a database that cannot be held to reading: another product, or a PostgreSQL role with rights over
    the server's files. Statements then run in a transaction that is rolled back, and nothing more is promised."""
    max_rows: Annotated[int, Field(ge=1, le=1_000_000)] = 1_000
    """The most rows of one result; streams have no such limit."""
    max_mb: Annotated[float, Field(gt=0, le=1_000)] = 4.0
    """About the most megabytes of one result, of one value, and of one row of a stream."""
    seconds: Annotated[float, Field(gt=0, le=86_400)] = 30.0
    """How long the database may work for one call; the time in which an action looks at a stream does not count."""
    connect_seconds: Annotated[float, Field(ge=1, le=600)] = 10.0
    """How long a connection over the network may take."""
    memory_mb: Annotated[int, Field(ge=32)] = 512
    """What DuckDB may take; other databases have limits of their own."""

    @property
    def address(self) -> URL | None:
        """The URL, parsed, with the driver that is used; None where no database is named."""
        if self.url is None:
            return None
        text = self.url.get_secret_value()
        url = make_url(f"postgresql{text.removeprefix('postgres')}" if text.startswith("postgres://") else text)
        driver = _DRIVERS.get(url.get_backend_name())
        return url.set(drivername=f"{url.get_backend_name()}+{driver}") if driver and "+" not in url.drivername else url

    @property
    def product(self) -> str:
        """``sqlite``, ``postgresql``, ``duckdb``, ``sample`` or a name of SQLAlchemy's; empty where none is named."""
        return self.address.get_backend_name() if self.address else ""

    @property
    def max_bytes(self) -> int:
        """`max_mb` in bytes."""
        return int(self.max_mb * 1_000_000)

    @classmethod
    def for_examples(cls) -> Self:
        """The sample database, whatever the environment says: what the examples of the docs run on."""
        return cls(url=SecretStr(SAMPLE), writable=False, allow_unenforced=False)

    @field_validator("url")
    @classmethod
    def _readable(cls, value: SecretStr | None) -> SecretStr | None:
        try:
            if value is not None:
                make_url(value.get_secret_value())
        except (ArgumentError, ValueError):
            raise ValueError("it is no database URL; write for example sqlite:////srv/data/shop.db") from None
        return value

    @model_validator(mode="after")
    def _possible(self) -> Self:
        url = self.address
        if url is None:
            return self
        if url.drivername == _SAMPLE_NAME:
            if self.writable:
                raise ValueError("the sample database cannot be written; name a file or a server")
            return self
        product, driver = url.get_backend_name(), url.drivername.partition("+")[2]
        if product not in ENFORCED and not self.allow_unenforced:
            raise ValueError(
                f"read-only cannot be enforced for {product!r}, only for {', '.join(ENFORCED)}; to rely on the "
                f"rights of its user instead, set allow_unenforced"
            )
        if driver and driver != _DRIVERS.get(product, driver):
            raise ValueError(
                f"{product} is used through {_DRIVERS[product] or product!r}; leave +{driver} out of the URL"
            )
        if product in _EMBEDDED and url.database in (None, "", ":memory:"):
            raise ValueError("a database in memory would be empty at every call; name a file")
        return self
