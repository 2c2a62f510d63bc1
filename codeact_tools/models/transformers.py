"""CodeActAgent, or any causal chat model, on this machine's GPU in 4 bits; on its CPU where it has to be."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.util
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError
from .background import Job, iterate
from .base import Delta, Message, Sampling, until_stop
from .transformers_batch import Batch
from .transformers_loading import load, make_plan
from .transformers_replies import Decoding, LoadedModel
from .windows import estimate

CODEACT_AGENT = "xingyaoww/CodeActAgent-Mistral-7b-v0.1"
"""The model that CodeAct's authors recommend."""


class TransformersModel:
    """A causal chat model through transformers.

    Example:
        >>> model = TransformersModel()                           # CodeActAgent; loads nothing yet
        >>> model = TransformersModel("models/my-finetune", load_in_4bit=False)
        >>> model = TransformersModel(batch=8)                    # eight sessions write at once

    A session's prompt is read once: the keys and values of the last few conversations stay in memory, and a turn reads
    only what they do not begin with. The numbers are the same with and without, up to rounding.
    """

    def __init__(
        self,
        name_or_path: str | Path = CODEACT_AGENT,
        *,
        load_in_4bit: bool | None = None,
        device: str | None = None,
        dialect: str = "chat",
        context_tokens: int | None = None,
        revision: str | None = None,
        conversations: int = 4,
        prompt_lookup: int = 0,
        compile: bool = False,  # noqa: A002 - torch's own word
        attention: str | None = None,
        batch: int = 1,
        batch_options: dict[str, Any] | None = None,
        load_options: dict[str, Any] | None = None,
    ) -> None:
        """Name the model; nothing is loaded.

        Args:
            name_or_path: A model of the hub, or a folder.
            load_in_4bit: NF4 with double quantisation, computing in bfloat16, by bitsandbytes. None: on a GPU.
            device: As torch names it: ``"cuda"``, ``"cuda:1"``, ``"cpu"``. None: the GPU if there is one.
            dialect: Key of `DIALECTS`.
            context_tokens: Tokens of prompt and reply together; None: what the model was made for.
            revision: Branch, tag or commit on the hub.
            conversations: How many of the last conversations keep their keys and values in memory.
            prompt_lookup: Most tokens that are guessed ahead, from where the conversation has the same words already;
                the model reads a guess in one step and keeps what it would have written itself. 0: none.
            compile: Compile a step of the model, on a GPU as a CUDA graph, over a cache of fixed size. The first reply
                waits for it.
            attention: Implementation, as transformers names it: ``"sdpa"``, ``"flash_attention_2"``, ``"eager"``.
                None: its choice.
            batch: Most replies that are written at once, by transformers' continuous batching; more wait. 1: one after
                the other.
            batch_options: More arguments for transformers' ``ContinuousBatchingConfig``.
            load_options: More arguments for ``from_pretrained``.

        Raises:
            ConfigurationError: Options exclude each other, or a number is out of range.
        """
        for option, number, least in (
            ("conversations", conversations, 1), ("prompt_lookup", prompt_lookup, 0), ("batch", batch, 1)
        ):  # fmt: skip
            if number < least:
                raise ConfigurationError(f"{option} is {number}, and it has to be at least {least}")
        together = [
            name for name, on in (("prompt_lookup", prompt_lookup), ("compile", compile), ("batch", batch > 1)) if on
        ]
        if len(together) > 1:
            msg = f"{' and '.join(map(repr, together))} exclude each other: each is another way of writing; choose one"
            raise ConfigurationError(msg)
        self.name = str(name_or_path).rstrip("/").rpartition("/")[2]
        self.dialect = dialect
        self.context_tokens = context_tokens
        self._source = str(name_or_path)
        self._load_in_4bit = load_in_4bit
        self._device = device
        self._options = {
            **({"revision": revision} if revision else {}),
            **({"attn_implementation": attention} if attention else {}),
            **(load_options or {}),
        }
        self._decoding = Decoding(conversations=conversations, prompt_lookup=prompt_lookup, compiled=compile)
        self._most = batch
        self._batch_options = dict(batch_options or {})
        self._loaded: LoadedModel | None = None
        self._batch: Batch | None = None
        self._lock = threading.Lock()

    async def load(self) -> None:
        """Load the weights now instead of at the first reply.

        Raises:
            ConfigurationError: The extra ``transformers`` is not installed, or the device is not there.
            ModelUnavailable: There is no such model, it is not open to you, or memory is too small for it.
        """
        await asyncio.to_thread(self._load)

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> AsyncIterator[Delta]:
        """Yield the reply to ``messages`` as it is generated."""
        return until_stop(self._deltas(messages, sampling), sampling.stop)

    def count(self, messages: Sequence[Message]) -> int:
        """Return how many tokens the prompt of ``messages`` has; an estimate until the weights are loaded."""
        loaded = self._loaded
        return estimate(messages) if loaded is None else len(loaded.prompt(messages))

    async def aclose(self) -> None:
        """Release the weights and the caches; replies under way are finished first."""
        await asyncio.to_thread(self._release)

    def _release(self) -> None:
        with self._lock:
            if self._batch is not None:
                self._batch.close()
            self._loaded = self._batch = None
        if importlib.util.find_spec("torch") is not None:
            torch: Any = importlib.import_module("torch")
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    async def _deltas(self, messages: Sequence[Message], sampling: Sampling) -> AsyncGenerator[Delta]:
        await self.load()

        def work(job: Job[Delta]) -> None:
            if not job.acquire(self._lock):
                return
            try:
                loaded = self._ensure_loaded()
                if self._batch is None:
                    loaded.reply(messages, sampling, job)
                    return
                batch = self._batch
            finally:
                self._lock.release()
            batch.reply(messages, sampling, job)

        async with contextlib.aclosing(iterate(work, name="transformers-model")) as deltas:
            async for delta in deltas:
                yield delta

    def _load(self) -> None:
        with self._lock:
            self._ensure_loaded()

    def _ensure_loaded(self) -> LoadedModel:
        """Return the loaded model; the lock is held."""
        if self._loaded is None:
            plan = make_plan(self._device, self._load_in_4bit)
            tokenizer, weights = load(self._source, plan, self._options)
            self._loaded = LoadedModel(tokenizer, weights, self.context_tokens, self._decoding)
            self._batch = Batch(self._loaded, self._most, self._batch_options) if self._most > 1 else None
            self.context_tokens = self._loaded.window
        return self._loaded
