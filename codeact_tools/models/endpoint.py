"""Any OpenAI-compatible server: vLLM, TGI, llama.cpp, Ollama, LM Studio, `transformers serve`, hosted ones.

The client is OpenAI's own library: it is what these servers test against, and brings streaming, timeouts per phase,
proxies, and retries that respect ``Retry-After``. Servers differ in the request fields that they refuse, so only the
oldest are sent, and one that a server names in a refusal is left out from then on.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import difflib
import os
import re
import weakref
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from ..errors import ConfigurationError, ContextOverflow, ModelReplyError, ModelUnavailable
from . import endpoint_server
from .base import Delta, Message, Sampling, until_stop
from .endpoint_errors import dropped, mapped, unknown_model
from .endpoint_events import chunks
from .endpoint_replies import ReplyState, refused_field, request_fields
from .endpoint_server import UNKNOWN, Served
from .templates import Template, find_template
from .windows import estimate

if TYPE_CHECKING:
    from types import ModuleType

    from openai import AsyncOpenAI

_OPENAI_URL = "https://api.openai.com/v1"
_ASKING = 5.0
"""Seconds for a server to say what it is, which it need not."""
_PAUSE = 0.5
"""Seconds before a reply that broke off before its first word is asked for again; twice as many each time."""


def endpoint_from_environment() -> tuple[str, str | None, str | None] | None:
    """Return base URL, model and key that the environment names; None where it names no endpoint.

    ``CODEACT_TOOLS_BASE_URL``, ``CODEACT_TOOLS_MODEL`` and ``CODEACT_TOOLS_API_KEY``; where the first is not set,
    ``OPENAI_BASE_URL`` and ``OPENAI_API_KEY``. OpenAI's key is never sent to an address that only
    ``CODEACT_TOOLS_BASE_URL`` names, unless that is OpenAI's own. A key alone names an endpoint once
    ``CODEACT_TOOLS_MODEL`` says which model.
    """
    model = os.environ.get("CODEACT_TOOLS_MODEL") or None
    key = os.environ.get("CODEACT_TOOLS_API_KEY") or None
    if url := os.environ.get("CODEACT_TOOLS_BASE_URL"):
        return url, model, key
    if url := os.environ.get("OPENAI_BASE_URL"):
        return url, model, key or os.environ.get("OPENAI_API_KEY") or None
    if model and (key := key or os.environ.get("OPENAI_API_KEY")):
        return _OPENAI_URL, model, key
    return None


class EndpointModel:
    """A model behind an OpenAI-compatible server.

    Example:
        >>> model = EndpointModel("http://localhost:8000/v1", "xingyaoww/CodeActAgent-Mistral-7b-v0.1")
    """

    def __init__(
        self,
        base_url: str | None = None,
        model: str | None = None,
        *,
        api_key: str | None = None,
        dialect: str = "chat",
        completions: bool | str | Template = False,
        context_tokens: int | None = None,
        include_stop: bool | None = None,
        headers: Mapping[str, str] | None = None,
        connect_timeout: float = 10.0,
        read_timeout: float = 300.0,
        retries: int = 3,
        concurrency: int | None = None,
    ) -> None:
        """Name the server; nothing is sent.

        Args:
            base_url: The address that the API's paths are appended to; most end in ``/v1``. A query is sent with every
                request, a user and a password as basic authentication. None: from the environment, see
                `endpoint_from_environment`.
            model: As the server calls it. None: from the environment, else the server's only one.
            api_key: None: from the environment (``CODEACT_TOOLS_API_KEY``; for OpenAI's own address also
                ``OPENAI_API_KEY``); servers of your own mostly need none.
            dialect: Key of `DIALECTS`.
            completions: Fill in the chat template here and ask ``/completions``, for a server that has none, or the
                wrong one, for this model. True: ChatML; or a name in `codeact_tools.models.templates.TEMPLATES`, or a
                template of your own.
            context_tokens: Of prompt and reply together. None: what the server says; the attribute of the same name
                is set before the first reply.
            include_stop: Ask the server to keep the stop string, with vLLM's ``include_stop_str_in_output``. None:
                where the server is known to understand it.
            headers: Sent with every request.
            connect_timeout: Seconds to reach the server.
            read_timeout: Seconds between two pieces of a reply, and before the first.
            retries: Repetitions after rate limits, server errors and lost connections, before the reply starts. A
                connection that the server closed before it answered is tried once more in any case.
            concurrency: Most requests at a time; None: no limit.

        Raises:
            ConfigurationError: No server is named, or the address is no HTTP address.
        """
        found = endpoint_from_environment() if base_url is None else None
        if base_url is None and found is None:
            msg = "no endpoint is named: pass base_url, or set CODEACT_TOOLS_BASE_URL and CODEACT_TOOLS_MODEL"
            raise ConfigurationError(msg)
        if found is not None:
            base_url, model, api_key = found[0], model or found[1], api_key or found[2]
        address = _checked_url(base_url or "")
        self.base_url = address._replace(netloc=address.netloc.rpartition("@")[2], query="", fragment="").geturl()
        self._query = dict(parse_qsl(address.query))
        self.model = model or os.environ.get("CODEACT_TOOLS_MODEL") or None
        self.dialect = dialect
        self.context_tokens = context_tokens
        self._template = find_template("chatml" if completions is True else completions) if completions else None
        self._include_stop = include_stop
        self._served: Served | None = None
        self._measured = 1.0  # tokens that the server counted, for each one that was estimated
        self._key = api_key or os.environ.get("CODEACT_TOOLS_API_KEY") or None
        if self._key is None and address[:2] == urlsplit(_OPENAI_URL)[:2]:
            self._key = os.environ.get("OPENAI_API_KEY") or None
        self._headers = dict(headers or {})
        self._login: dict[str, str] = {}
        if address.username:  # it stays out of the address, which is shown and logged
            login = f"{unquote(address.username)}:{unquote(address.password or '')}"
            self._login = {"Authorization": f"Basic {b64encode(login.encode()).decode()}"}
        private = [
            value.split()[-1]
            for name, value in self._headers.items()
            if value.strip() and re.search("key|auth|token|secret", name, re.IGNORECASE)
        ]
        self._secrets = [secret for secret in (self._key, address.password, *private) if secret and len(secret) > 7]
        self._timeouts = (connect_timeout, read_timeout)
        self._retries = retries
        self._refused: set[str] = set()
        self._limit = asyncio.Semaphore(concurrency) if concurrency else contextlib.nullcontext()
        # Connections belong to the event loop that opened them, and a model may outlive its loop.
        self._clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncOpenAI] = weakref.WeakKeyDictionary()

    @property
    def name(self) -> str:
        """The model's name, or the server's address while it is not known."""
        return self.model or self.base_url

    @property
    def headers(self) -> dict[str, str]:
        """What is sent with every request, apart from the key."""
        return dict(self._headers)

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> AsyncIterator[Delta]:
        """Yield the reply to ``messages`` as it is generated."""
        if self._template is not None and self._template.end not in sampling.stop:
            sampling = dataclasses.replace(sampling, stop=(*sampling.stop, self._template.end))
        return until_stop(self._deltas(messages, sampling), sampling.stop)

    def count(self, messages: Sequence[Message]) -> int:
        """Return about how many tokens the prompt of ``messages`` has.

        No endpoint counts in advance; the estimate is corrected by what the server counted for the last reply.
        """
        return round(estimate(messages) * self._measured)

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.close()

    async def models(self) -> tuple[str, ...]:
        """Return the names of the server's models.

        Raises:
            ModelUnavailable: The server cannot be reached, or does not say.
        """
        try:
            return (await endpoint_server.ask(self._client())).names
        except Exception as error:
            raise self._mapped(error) from error

    def _client(self) -> AsyncOpenAI:
        loop = asyncio.get_running_loop()
        if (client := self._clients.get(loop)) is None:
            openai = _library()
            connect, read = self._timeouts
            client = self._clients[loop] = openai.AsyncOpenAI(
                base_url=self.base_url,
                default_query=self._query,
                api_key=self._key or "none",
                default_headers={**self._login, **self._headers},
                timeout=openai.Timeout(read, connect=connect, write=60.0, pool=read),
                max_retries=self._retries,
            )
        return client

    async def _deltas(self, messages: Sequence[Message], sampling: Sampling) -> AsyncGenerator[Delta]:
        async with self._limit:
            await self._introduce()
            for attempt in range(self._retries + 1):
                reply = ReplyState()
                try:
                    async with contextlib.aclosing(self._reply(messages, sampling, reply)) as deltas:
                        async for delta in deltas:
                            if delta.usage is not None and delta.usage.prompt_tokens:
                                self._learn(delta.usage.prompt_tokens / estimate(messages))
                            yield delta
                except ModelReplyError:
                    if reply.begun or reply.finish_reason is not None or attempt == self._retries:
                        raise
                else:
                    return
                await asyncio.sleep(_PAUSE * 2**attempt)

    def _learn(self, ratio: float) -> None:
        """Correct the estimate; within bounds, because some servers leave out what they had cached."""
        self._measured = min(max(ratio, 0.5), 4.0)

    async def _reply(self, messages: Sequence[Message], sampling: Sampling, reply: ReplyState) -> AsyncGenerator[Delta]:
        """Ask once, and note in ``reply`` what has come."""
        response = await self._open(messages, sampling)
        try:
            async with contextlib.aclosing(chunks(response.aiter_bytes())) as parts:
                async for chunk in parts:
                    if (delta := reply.read(chunk)) is not None:
                        yield delta
            reply.check(response.headers.get("content-type", ""), self.base_url, sampling)
        except Exception as error:
            raise self._mapped(error, streaming=True) from error
        finally:
            await response.aclose()

    async def _introduce(self) -> None:
        """Learn from the server, once, which model it has where none is named, its window, and what it understands."""
        if self._served is not None and self.model is not None:
            return
        client = self._client()
        try:
            if self.model is None:
                self._served = await endpoint_server.ask(client)
            elif urlsplit(self.base_url).hostname == urlsplit(_OPENAI_URL).hostname:
                self._served = UNKNOWN  # its list is long and tells no windows
            else:
                self._served = await endpoint_server.ask(client.with_options(timeout=_ASKING, max_retries=0))
        except Exception as error:
            if self.model is None:
                raise self._mapped(error) from error
            self._served = UNKNOWN  # the reply itself will tell what is wrong
        self.model = self.model or _only(self._served.names, self.base_url)
        self.context_tokens = self.context_tokens or self._served.windows.get(self.model)

    async def _open(self, messages: Sequence[Message], sampling: Sampling) -> Any:
        """Send the request, without the fields that the server refuses, and return the response, which is not read."""
        request: dict[str, Any] = {"model": self.model, "stream": True}
        client = self._client()
        create: Any
        if self._template is None:
            create = client.chat.completions.with_raw_response.create
            request["messages"] = [{"role": message.role, "content": message.content} for message in messages]
        else:
            create = client.completions.with_raw_response.create
            request["prompt"] = self._template.render(messages)
        served = self._served or UNKNOWN
        constraint = {} if sampling.grammar is None else served.constrain(sampling.grammar, self.name)
        include_stop = served.keeps_stop if self._include_stop is None else self._include_stop
        again = self._retries == 0  # a connection that the server closed for being idle is none of the user's retries
        while True:
            fields = request_fields(sampling, self._refused, include_stop=include_stop, chat=self._template is None)
            try:
                return (await create(**request, extra_body={**fields, **constraint})).http_response
            except Exception as error:
                if again and dropped(error):
                    again = False
                    continue
                refused = refused_field(error, fields)
                if refused is None:
                    raise await self._explained(error) from error
                self._refused.add(refused)

    async def _explained(self, error: Exception) -> Exception:
        """Map ``error``; where the server does not know the model, say what it has."""
        explained = self._mapped(error)
        if isinstance(explained, ContextOverflow):
            self.context_tokens = self.context_tokens or explained.allowed
        if isinstance(explained, ContextOverflow) or not unknown_model(error):
            return explained
        with contextlib.suppress(ModelUnavailable):
            names = await self.models()
            if self.model not in names:
                near = difflib.get_close_matches(self.model or "", names, n=1, cutoff=0.4)
                hint = f"did you mean {near[0]!r}? " if near else ""
                listed = ", ".join(map(repr, names[:10])) or "none"
                return ModelUnavailable(f"{self.base_url} has no model {self.model!r}; {hint}It has: {listed}")
        return explained

    def _mapped(self, error: Exception, *, streaming: bool = False) -> Exception:
        return mapped(
            error, name=self.name, url=self.base_url, retries=self._retries, streaming=streaming, secrets=self._secrets
        )


def _checked_url(url: str) -> SplitResult:
    """Return the address that paths are appended to; its query goes with every request (Azure has one)."""
    try:
        parts = urlsplit(url)
        known = parts.scheme in {"http", "https"} and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is no number, or too large
        known = False
    if not known:
        msg = f"base_url is {url!r}, which is no HTTP address; write for example 'http://localhost:8000/v1'"
        raise ConfigurationError(msg)
    return parts._replace(path=re.sub(r"(?:(?:/chat)?/completions|/chat|(?<=/v1)/models)?/*$", "", parts.path))


def _only(names: Sequence[str], url: str) -> str:
    if len(names) == 1:
        return names[0]
    msg = f"{url} has {len(names)} models; name one with model=: {', '.join(map(repr, names[:20])) or 'none is loaded'}"
    raise ConfigurationError(msg)


def _library() -> ModuleType:
    try:
        import openai
    except ImportError as error:
        msg = f"an endpoint needs OpenAI's client ({error}); run `pip install 'codeact-tools[endpoint]'`"
        raise ConfigurationError(msg) from error
    module: ModuleType = openai
    return module
