"""Any OpenAI-compatible server: vLLM, TGI, llama.cpp, Ollama, LM Studio, `transformers serve`, hosted ones.

The client is OpenAI's own library: it is what these servers test against, and brings streaming, timeouts per phase,
proxies, and retries that respect ``Retry-After``. Servers differ in the request fields that they refuse, so only the
oldest are sent, and one that a server names in a refusal is left out from then on.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import os
import re
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from ..errors import ConfigurationError, ContextOverflow, ModelError, ModelReplyError, ModelUnavailable
from ..events import Usage
from .base import Delta, Message, Sampling, until_stop

if TYPE_CHECKING:
    from types import ModuleType

    from openai import AsyncOpenAI, AsyncStream
    from openai.types.chat import ChatCompletionChunk

_OPENAI_URL = "https://api.openai.com/v1"
_MOST_STOPS = 4
"""Hosted endpoints refuse more stop strings; the rest are applied here."""

_OPTIONAL = ("stream_options", "seed", "stop", "temperature", "max_tokens")
"""Fields that a server may refuse; the request is repeated without the one that it names."""

_OVERFLOW = re.compile(
    r"context[ _]?(length|size|window)|maximum (model )?length|too many (input )?tokens|prompt is too long"
    r"|max_model_len|too large for model",
    re.IGNORECASE,
)


def endpoint_from_environment() -> tuple[str, str | None, str | None] | None:
    """Return base URL, model and key that the environment names; None where it names no endpoint.

    ``CODEACT_TOOLS_BASE_URL``, ``CODEACT_TOOLS_MODEL`` and ``CODEACT_TOOLS_API_KEY``; where the first is not set,
    ``OPENAI_BASE_URL`` and ``OPENAI_API_KEY``. OpenAI's key is never sent to an address that only
    ``CODEACT_TOOLS_BASE_URL`` names. A key alone names an endpoint once ``CODEACT_TOOLS_MODEL`` says which model.
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
        context_window: int | None = None,
        headers: Mapping[str, str] | None = None,
        connect_timeout: float = 10.0,
        read_timeout: float = 300.0,
        retries: int = 3,
        concurrency: int | None = None,
    ) -> None:
        """Name the server; nothing is sent.

        Args:
            base_url: The address that the API's paths are appended to; most end in ``/v1``. None: from the environment,
                see `endpoint_from_environment`.
            model: As the server calls it. None: from the environment, else the server's only one.
            api_key: None: from the environment; servers of your own mostly need none.
            dialect: Key of `DIALECTS`.
            context_window: Tokens of prompt and reply together, where you know it.
            headers: Sent with every request.
            connect_timeout: Seconds to reach the server.
            read_timeout: Seconds between two pieces of a reply, and before the first.
            retries: Repetitions after rate limits, server errors and lost connections, before the reply starts.
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
        self.base_url = _checked_url(base_url or "")
        self.model = model or os.environ.get("CODEACT_TOOLS_MODEL") or None
        self.dialect = dialect
        self.context_window = context_window
        self._key = api_key or os.environ.get("CODEACT_TOOLS_API_KEY") or None
        self._headers = dict(headers or {})
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
        return until_stop(self._deltas(messages, sampling), sampling.stop)

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
            return tuple([model.id async for model in self._client().models.list()])
        except Exception as error:
            raise self._mapped(error) from error

    def _client(self) -> AsyncOpenAI:
        loop = asyncio.get_running_loop()
        if (client := self._clients.get(loop)) is None:
            openai = _library()
            connect, read = self._timeouts
            client = self._clients[loop] = openai.AsyncOpenAI(
                base_url=self.base_url,
                api_key=self._key or "none",
                default_headers=self._headers,
                timeout=openai.Timeout(read, connect=connect, write=60.0, pool=read),
                max_retries=self._retries,
            )
        return client

    async def _deltas(self, messages: Sequence[Message], sampling: Sampling) -> AsyncGenerator[Delta]:
        async with self._limit:
            if self.model is None:
                self.model = _only(await self.models(), self.base_url)
            stream = await self._open(messages, sampling)
            reply = _ReplyState()
            try:
                async for chunk in stream:
                    if (delta := reply.read(chunk)) is not None:
                        yield delta
                reply.check(stream, sampling)
            except ModelError:
                raise
            except Exception as error:
                raise self._mapped(error, streaming=True) from error
            finally:
                await stream.close()

    async def _open(self, messages: Sequence[Message], sampling: Sampling) -> AsyncStream[ChatCompletionChunk]:
        """Send the request, without the fields that the server refuses."""
        request: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": message.role, "content": message.content} for message in messages],
            "stream": True,
        }
        while True:
            fields = _fields(sampling, self._refused)
            try:
                reply = await self._client().chat.completions.create(**request, **fields)
                return cast("AsyncStream[ChatCompletionChunk]", reply)
            except Exception as error:
                refused = _refused_field(error, fields)
                if refused is None:
                    raise await self._explained(error) from error
                self._refused.add(refused)

    async def _explained(self, error: Exception) -> Exception:
        """Map ``error``; where the server does not know the model, say what it has."""
        if getattr(error, "status_code", None) != 404 or _is_page(error):
            return self._mapped(error)
        with contextlib.suppress(ModelUnavailable):
            names = await self.models()
            if self.model not in names:
                near = difflib.get_close_matches(self.model or "", names, n=1, cutoff=0.4)
                hint = f"did you mean {near[0]!r}? " if near else ""
                listed = ", ".join(map(repr, names[:10])) or "none"
                return ModelUnavailable(f"{self.base_url} has no model {self.model!r}; {hint}It has: {listed}")
        return self._mapped(error)

    def _mapped(self, error: Exception, *, streaming: bool = False) -> Exception:
        """Return the error of this library that says what ``error`` means, and what to do."""
        if isinstance(error, ModelError | ConfigurationError):
            return error
        openai = _library()
        text = _one_line(error)
        if isinstance(error, openai.APITimeoutError) or "Timeout" in type(error).__name__:
            return ModelUnavailable(f"{self.base_url} did not answer in time: {text}; is it still loading the model?")
        status = getattr(error, "status_code", None)
        if status is not None:
            return self._of_status(int(status), error, text)
        if streaming:
            return ModelReplyError(f"the reply of {self.base_url} broke off or is damaged: {text}; try again")
        if isinstance(error, openai.APIConnectionError):
            cause = _one_line(error.__cause__) if error.__cause__ else text
            msg = f"cannot reach {self.base_url}: {cause}; is the server running, and the address right?"
            return ModelUnavailable(msg)
        return ModelUnavailable(f"{self.base_url} does not answer as an OpenAI-compatible server: {text}")

    def _of_status(self, status: int, error: Exception, text: str) -> Exception:
        if status in {400, 413, 422} and (status == 413 or _OVERFLOW.search(text)):
            return ContextOverflow(f"the conversation is too long for {self.name!r}: {text}")
        remedy = {
            401: "the key is missing or wrong: pass api_key, or set CODEACT_TOOLS_API_KEY",
            403: "the key is not allowed to use this model",
            404: "nothing is at this address: most servers want a base_url that ends in /v1",
            405: "nothing is at this address: most servers want a base_url that ends in /v1",
            429: f"the rate limit or the quota is used up, also after {self._retries} retries: wait, or ask for less",
        }.get(status, "the server fails; see its log" if status >= 500 else "it refuses the request")
        detail = "a web page" if _is_page(error) else text
        return ModelUnavailable(f"{self.base_url} answered {status}: {remedy} ({detail})")


class _ReplyState:
    """What has arrived of a reply."""

    def __init__(self) -> None:
        self.text = False
        self.reasoning = False
        self.finish_reason: str | None = None

    def read(self, chunk: ChatCompletionChunk) -> Delta | None:
        """Translate one chunk; None where it says nothing."""
        usage = None
        if chunk.usage is not None:
            details = chunk.usage.prompt_tokens_details
            usage = Usage(
                prompt_tokens=chunk.usage.prompt_tokens or 0,
                completion_tokens=chunk.usage.completion_tokens or 0,
                cached_tokens=(details.cached_tokens if details is not None else None) or 0,
            )
        choice = chunk.choices[0] if chunk.choices else None
        text = (choice.delta.content or "") if choice is not None and choice.delta is not None else ""
        extra: Mapping[str, Any] = (choice.delta.model_extra or {}) if choice is not None and choice.delta else {}
        reasoning = extra.get("reasoning_content") or extra.get("reasoning") or ""
        reason = choice.finish_reason if choice is not None else None
        self.text |= bool(text)
        self.reasoning |= bool(reasoning)
        self.finish_reason = reason or self.finish_reason
        if not text and not reasoning and usage is None and reason is None:
            return None
        return Delta(
            text=text,
            reasoning=reasoning if isinstance(reasoning, str) else "",
            usage=usage,
            finish_reason=None if reason is None else "length" if reason == "length" else "stop",
        )

    def check(self, stream: AsyncStream[ChatCompletionChunk], sampling: Sampling) -> None:
        """Raise where the reply that has ended is none.

        Raises:
            ModelUnavailable: It was no stream at all.
            ModelReplyError: It is empty, or broke off.
        """
        kind = stream.response.headers.get("content-type", "")
        if "html" in kind:
            url = stream.response.request.url
            msg = f"{url} answered with a web page; most servers want a base_url that ends in /v1"
            raise ModelUnavailable(msg)
        if self.finish_reason is None:
            msg = f"the reply broke off: the server sent no end (content type {kind!r}); try again"
            raise ModelReplyError(msg)
        if self.finish_reason == "content_filter":
            msg = "the server's content filter withheld the reply"
            raise ModelReplyError(msg)
        if not self.text and self.reasoning:
            msg = f"the model used its {sampling.max_tokens} tokens for reasoning and did not reply; raise max_tokens"
            raise ModelReplyError(msg)
        if not self.text:
            msg = "the model's reply is empty; does the server use the chat template of this model?"
            raise ModelReplyError(msg)


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        msg = f"base_url is {url!r}, which is no HTTP address; write for example 'http://localhost:8000/v1'"
        raise ConfigurationError(msg)
    return url.rstrip("/").removesuffix("/chat/completions")


def _only(names: Sequence[str], url: str) -> str:
    if len(names) == 1:
        return names[0]
    msg = f"{url} has {len(names)} models; name one with model=: {', '.join(map(repr, names[:20])) or 'none is loaded'}"
    raise ConfigurationError(msg)


def _fields(sampling: Sampling, refused: set[str]) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "temperature": sampling.temperature,
        "max_tokens": sampling.max_tokens,
        "stream_options": {"include_usage": True},
    }
    if sampling.stop:
        fields["stop"] = list(sampling.stop[:_MOST_STOPS])
    if sampling.seed is not None:
        fields["seed"] = sampling.seed
    if "max_tokens" in refused and "max_completion_tokens" not in refused:
        fields["max_completion_tokens"] = sampling.max_tokens  # the newer name, which OpenAI's own models want
    return {name: value for name, value in fields.items() if name not in refused}


def _refused_field(error: Exception, fields: Mapping[str, Any]) -> str | None:
    """Return the field of the request that the server names in its refusal."""
    if getattr(error, "status_code", None) not in {400, 422}:
        return None
    text = str(error)
    if (parameter := getattr(error, "param", None)) in fields:
        return str(parameter)
    candidates = [name for name in (*_OPTIONAL, "max_completion_tokens") if name in fields]
    return next((name for name in candidates if re.search(rf"['\"`]{name}['\"`]", text)), None)


def _is_page(error: Exception) -> bool:
    response = getattr(error, "response", None)
    return response is not None and "html" in response.headers.get("content-type", "")


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:299]}…"


def _library() -> ModuleType:
    try:
        import openai
    except ImportError as error:
        msg = f"an endpoint needs OpenAI's client ({error}); run `pip install 'codeact-tools[endpoint]'`"
        raise ConfigurationError(msg) from error
    module: ModuleType = openai
    return module
