"""A small instruct coder in this process: llama.cpp on the CPU, without a server, a key or a GPU.

The engine (`xllamacpp`, llama.cpp's own server as a library) batches nothing here: it has one slot, keeps the prefix of
the last conversation in it, and parks those of others in memory, so that a session's prompt is read only once.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import secrets
import threading
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import ConfigurationError, ContextOverflow, ModelReplyError, ModelUnavailable
from ..events import Usage
from .background import Job, iterate
from .base import Delta, Message, Sampling, plain_text, until_stop
from .weights import DEFAULT_WEIGHTS, Progress, Weights, fetch, locate
from .windows import estimate

if TYPE_CHECKING:
    from types import ModuleType

_BATCH = 128
"""Prompt tokens that are read at once: the engine can be stopped only between batches, and larger ones gain nothing."""

_SPINS = "10000"
"""How often a waiting OpenMP thread looks again before it sleeps. The library's own 300,000 make generation collapse
beside other busy processes (4.8 tokens/s where this gives 7.2); none at all costs a quarter on a quiet machine."""

_PATIENCE = 5.0
"""Seconds to wait for the tokens of a prompt to be counted."""

_GGUF_MAGIC = b"GGUF"


class EmbeddedModel:
    """A GGUF model in this process; by default `DEFAULT_WEIGHTS`, fetched on first use.

    Example:
        >>> model = EmbeddedModel()                     # loads nothing yet
        >>> model = EmbeddedModel("models/some.gguf")   # doctest: +SKIP

    Models of the same file and size share one copy in memory; it is loaded at the first reply, and given back when the
    last of them is closed or collected. Concurrent replies wait for each other.
    """

    def __init__(
        self,
        weights: str | Path | Weights = DEFAULT_WEIGHTS,
        *,
        dialect: str = "small",
        context_tokens: int = 8192,
        threads: int | None = None,
        prompt_cache_mb: int = 512,
        progress: Progress | None = None,
    ) -> None:
        """Name the weights; nothing is loaded.

        Args:
            weights: Path of a GGUF file, or weights that can be fetched.
            dialect: Key of `DIALECTS`.
            context_tokens: Tokens of prompt and reply together; memory grows with it (28 KiB per token by default).
            threads: CPU threads; None: as many as this process may use, at most 16.
            prompt_cache_mb: Memory for the prefixes of other conversations than the last, in MiB.
            progress: Told about the download, if there is one.

        Raises:
            ConfigurationError: The path is no GGUF file.
        """
        self.weights = weights
        self.name = weights.name if isinstance(weights, Weights) else Path(weights).stem
        self.dialect = dialect
        self.context_tokens: int | None = context_tokens
        self._settings = (context_tokens, threads or available_cpus(), prompt_cache_mb)
        self._progress = progress
        self._engine: _Engine | None = None
        if not isinstance(weights, Weights):
            _check_gguf(Path(weights).expanduser())

    @property
    def path(self) -> Path | None:
        """The weights' file; None where it has yet to be fetched."""
        return locate(self.weights) if isinstance(self.weights, Weights) else Path(self.weights).expanduser()

    async def load(self) -> None:
        """Fetch and load the weights now instead of at the first reply.

        Raises:
            ModelUnavailable: They cannot be fetched or loaded.
            ConfigurationError: The extra ``embedded`` is not installed.
        """
        if self._engine is None:
            self._engine = await asyncio.to_thread(self._open)

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> AsyncIterator[Delta]:
        """Yield the reply to ``messages`` as it is generated."""
        return until_stop(self._deltas(messages, sampling), sampling.stop)

    def count(self, messages: Sequence[Message]) -> int:
        """Return how many tokens the prompt of ``messages`` has; an estimate until the weights are loaded."""
        if self._engine is not None and (exact := self._engine.count(_turns(messages))) is not None:
            return exact
        return estimate(messages)

    async def aclose(self) -> None:
        """Give the memory back, unless another model shares it."""
        self._engine = None

    def _open(self) -> _Engine:
        path = fetch(self.weights, progress=self._progress) if isinstance(self.weights, Weights) else self.path
        return _shared_engine(str(path), *self._settings)

    async def _deltas(self, messages: Sequence[Message], sampling: Sampling) -> AsyncGenerator[Delta]:
        await self.load()
        assert self._engine is not None  # noqa: S101 - load() raises otherwise
        request: dict[str, Any] = {
            "messages": _turns(messages),
            "temperature": sampling.temperature,
            "max_tokens": sampling.max_tokens,
            "stop": list(sampling.stop),
            "cache_prompt": True,
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_progress": True,  # a chunk per batch of the prompt, so that reading it can be cancelled
        }
        if sampling.seed is not None:
            request["seed"] = sampling.seed
        if sampling.grammar is not None:
            request["grammar"] = sampling.grammar
        async with contextlib.aclosing(self._engine.chunks(request)) as chunks:
            async for chunk in chunks:
                if (delta := _delta(chunk)) is not None:
                    yield delta


def _turns(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": plain_text(message.content)} for message in messages]


def available_cpus() -> int:
    """Return how many CPUs this process may use: by affinity and by its control group's quota; from 1 to 16."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        count = min(count, round(int(quota) / int(period)))
    return max(1, min(count, 16))


def _check_gguf(path: Path) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(len(_GGUF_MAGIC))
    except OSError as error:
        msg = f"cannot read the model file {str(path)!r}: {error.strerror}"
        raise ConfigurationError(msg) from error
    if magic != _GGUF_MAGIC:
        msg = f"{str(path)!r} is no GGUF file; the embedded model runs GGUF weights only"
        raise ConfigurationError(msg)


def _delta(chunk: dict[str, Any]) -> Delta | None:
    """Translate one chunk of the engine; None where it says nothing.

    Raises:
        ContextOverflow: The prompt does not fit.
        ModelReplyError: The engine refuses the request.
    """
    if (error := chunk.get("error")) is not None:
        if error.get("type") == "exceed_context_size_error":
            msg = (
                f"the conversation has {error.get('n_prompt_tokens')} tokens and the embedded model's window "
                f"{error.get('n_ctx')}; use a larger context_tokens, fewer turns, or shorter observations"
            )
            raise ContextOverflow(msg, needed=error.get("n_prompt_tokens"), allowed=error.get("n_ctx"))
        msg = f"the embedded model refuses the request: {error.get('message', error)}"
        raise ModelReplyError(msg)
    usage = None
    if (counts := chunk.get("usage")) is not None:
        cached = (counts.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
        usage = Usage(
            prompt_tokens=counts["prompt_tokens"], completion_tokens=counts["completion_tokens"], cached_tokens=cached
        )
    choice: dict[str, Any] = next(iter(chunk.get("choices", ())), {})
    text = choice.get("delta", {}).get("content") or ""
    reason = choice.get("finish_reason")
    if not text and usage is None and reason is None:
        return None
    return Delta(text=text, usage=usage, finish_reason="length" if reason == "length" else "stop" if reason else None)


class _Engine:
    """Loaded weights."""

    def __init__(self, path: str, context_tokens: int, threads: int, prompt_cache_mb: int) -> None:
        library = _library()
        parameters = library.CommonParams()
        parameters.model.path = path
        parameters.n_ctx = context_tokens
        parameters.n_parallel = 1
        parameters.n_batch = parameters.n_ubatch = _BATCH
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
        parameters.cache_ram_mib = prompt_cache_mb
        parameters.warmup = False
        parameters.verbosity = -1  # nothing on stderr
        # The library always opens its HTTP face on a port of the loopback interface: nobody else gets in.
        self._key = secrets.token_urlsafe(32)
        parameters.api_keys = [self._key]
        parameters.ui = False
        try:
            self._server = library.Server(parameters)
        except Exception as error:
            msg = f"llama.cpp cannot load {path!r}: {error}; the file may be damaged, or memory too small for it"
            raise ModelUnavailable(msg) from error

    def count(self, turns: list[dict[str, str]]) -> int | None:
        """Return how many tokens the prompt of ``turns`` has; None where the engine does not say.

        The library has no function for it; its HTTP face answers in milliseconds, also while a reply is generated.
        """
        try:
            prompt = self._post("/apply-template", {"messages": turns})["prompt"]
            return len(self._post("/tokenize", {"content": prompt, "add_special": True})["tokens"])
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            return None

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        address = urlsplit(self._server.listening_address).netloc
        with contextlib.closing(http.client.HTTPConnection(address, timeout=_PATIENCE)) as connection:
            headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
            connection.request("POST", path, json.dumps(body), headers)
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
            return answer

    def chunks(self, request: dict[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        """Yield the engine's answers to ``request``; closing the iterator stops the engine at the next token."""

        def work(job: Job[dict[str, Any]]) -> None:
            def receive(chunk: dict[str, Any]) -> bool:
                job.emit(chunk)
                return job.unwanted

            try:
                self._server.handle_chat_completions(request, receive)
            except Exception as error:
                msg = f"the embedded model failed: {error}"
                raise ModelReplyError(msg) from error

        return iterate(work, name="embedded-model")


_engines: weakref.WeakValueDictionary[tuple[str, int, int, int], _Engine] = weakref.WeakValueDictionary()
_engines_lock = threading.Lock()


def _shared_engine(path: str, context_tokens: int, threads: int, prompt_cache_mb: int) -> _Engine:
    key = (path, context_tokens, threads, prompt_cache_mb)
    with _engines_lock:
        engine = _engines.get(key)
        if engine is None:
            engine = _engines[key] = _Engine(*key)
        return engine


def _library() -> ModuleType:
    try:
        with _calm_threads():
            import xllamacpp
    except ImportError as error:
        msg = f"the embedded model needs xllamacpp ({error}); run `pip install 'codeact-tools[embedded]'`"
        raise ConfigurationError(msg) from error
    module: ModuleType = xllamacpp
    return module


@contextlib.contextmanager
def _calm_threads() -> Iterator[None]:
    """Set how long OpenMP threads spin, which its library reads once, when it is loaded; respect what the user set."""
    if {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        yield
        return
    os.environ["GOMP_SPINCOUNT"] = _SPINS
    try:
        yield
    finally:
        os.environ.pop("GOMP_SPINCOUNT", None)
