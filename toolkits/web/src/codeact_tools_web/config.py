"""What the application allows the web's tools."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Protocol, Self, runtime_checkable

from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from .results import SearchHit

VERSION = "0.1.0"
PRODUCT = "codeact-tools-web"
"""What robots.txt files can name."""


@runtime_checkable
class SearchProvider(Protocol):
    """A search engine. Give one as ``WebConfig(search=...)``."""

    async def search(self, query: str, limit: int) -> list[SearchHit]:
        """Return at most ``limit`` hits, best first.

        Raises:
            SearchUnavailable: It cannot answer; the message is shown to the model.
        """
        ...


def _listed(value: object) -> object:
    """Read a setting of the environment: JSON, or names separated by commas. Lists become tuples."""
    if isinstance(value, str):
        parts = json.loads(value) if value.lstrip().startswith("[") else value.split(",")
        return tuple(part.strip() if isinstance(part, str) else part for part in parts if part not in ("", " "))
    return tuple(value) if isinstance(value, list | set | frozenset) else value


Names = Annotated[Sequence[str], NoDecode, BeforeValidator(_listed)]


class WebConfig(BaseSettings):
    """Settings of the toolkit ``web``; the environment sets them as ``CODEACT_WEB_SECONDS`` and so on.

    >>> WebConfig(allowed_hosts=["example.org", "*.example.org"], seconds=10).ports
    (80, 443, 8080, 8443)

    Raises:
        pydantic.ValidationError: A setting is out of range, or the search engine lacks its address or key.
    """

    model_config = SettingsConfigDict(
        env_prefix="CODEACT_WEB_", frozen=True, extra="forbid", arbitrary_types_allowed=True
    )

    allowed_hosts: Names = Field(
        default=("*",), description="Hosts that may be reached: 'example.org', '*.example.org' for what is below it."
    )
    blocked_hosts: Names = Field(default=(), description="Hosts that may not be reached, though they are allowed.")
    ports: Annotated[Sequence[int], NoDecode, BeforeValidator(_listed)] = Field(
        default=(80, 443, 8080, 8443), description="Ports that may be reached."
    )
    allow_private: Names = Field(
        default=(),
        description="Hosts with ports, such as 'wiki.corp:443' or '127.0.0.1:8000', that may be reached though they "
        "are not on the open internet. For intranets and tests.",
    )
    max_bytes: PositiveInt = Field(
        default=2_000_000, description="Most bytes of one page, decompressed; longer pages are cut."
    )
    max_download: PositiveInt = Field(default=10_000_000, description="Most bytes of one download.")
    seconds: PositiveFloat = Field(
        default=20.0, description="How long one address may take, with redirects, robots.txt and waiting."
    )
    redirects: Annotated[int, Field(ge=0, le=20)] = Field(default=8, description="Most redirects of one address.")
    per_second: PositiveFloat = Field(default=5.0, description="Most requests to one host in a second.")
    per_host: PositiveInt = Field(default=2, description="Most requests to one host at the same time.")
    user_agent: str = Field(
        default=f"{PRODUCT}/{VERSION}",
        pattern=r"^[\x21-\x7e][\x20-\x7e]*$",
        description="How requests introduce themselves; robots.txt files are asked for its part before the slash.",
    )
    respect_robots: bool = Field(default=True, description="Whether robots.txt files are respected.")
    longest_crawl_delay: Annotated[float, Field(ge=0)] = Field(
        default=5.0, description="Most seconds between two requests that a robots.txt can ask for."
    )
    cache_seconds: Annotated[float, Field(ge=0)] = Field(
        default=300.0, description="How long a session remembers a page; 0: not at all."
    )
    cache_bytes: PositiveInt = Field(default=20_000_000, description="Most bytes of pages that a session remembers.")
    ca_file: Path | None = Field(
        default=None, description="Certificates to trust besides the system's: those of an intranet."
    )
    search: Literal["searxng", "brave", "sample"] | SearchProvider | None = Field(
        default=None,
        description="The search engine: 'searxng' (needs search_url), 'brave' (needs search_key), an object with an "
        "async method search(query, limit), or 'sample', which only knows the sample site.",
    )
    search_url: str | None = Field(default=None, description="Where SearXNG answers: 'https://searx.example.org'.")
    search_key: SecretStr | None = Field(default=None, description="Key of the search engine's API.")

    @field_validator("allow_private")
    @classmethod
    def _with_ports(cls, value: Sequence[str]) -> Sequence[str]:
        for each in value:
            host, colon, port = each.rpartition(":")
            if not (host and colon and port.isdigit()) or "*" in host or (":" in host and host[0] != "["):
                raise ValueError(f"{each!r} must be one host and one port, such as '127.0.0.1:8000' or '[::1]:8000'")
        return tuple(each.lower() for each in value)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.search == "searxng" and not self.search_url:
            raise ValueError("search='searxng' needs search_url (CODEACT_WEB_SEARCH_URL), where it answers")
        if self.search == "brave" and self.search_key is None:
            raise ValueError("search='brave' needs search_key (CODEACT_WEB_SEARCH_KEY), from its API dashboard")
        return self

    @property
    def product(self) -> str:
        """What robots.txt files are asked for."""
        return self.user_agent.partition("/")[0].strip()

    @classmethod
    def for_examples(cls) -> Self:
        """The settings under which the examples of the docstrings run: they reach nothing but the sample site."""
        return cls(allowed_hosts=("sample.invalid",), search="sample")
