"""Several replies at once, by transformers' continuous batching."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

from ..errors import ConfigurationError, ModelError, ModelReplyError, ModelUnavailable
from .background import Job
from .base import Delta, Message, Sampling
from .masks import GrammarMask
from .transformers_replies import LoadedModel, Writer, explained, model_errors

_TOKENS_AT_ONCE = 1024
"""Most tokens that are read in one step; a long prompt is read in parts, between which the others go on writing."""

_PAGE = 32
"""Tokens of a piece of cache on the CPU: what conversations have in common is shared in pieces of this size."""

_ROOM = 2048
"""Tokens of cache for each reply on the CPU, where transformers would take 60 % of all memory."""

_POLL = 0.05
"""Seconds between two looks at whether a reply is still wanted."""


class Batch:
    """Writes the replies of several threads together, a token for each in every step.

    What a conversation has read stays in a common cache of pages until others need the room, so its next turn reads
    only what is new, and what conversations have in common is read once; a model with a sliding window is the
    exception: transformers reads its prompts anew each time.
    """

    def __init__(self, loaded: LoadedModel, most: int, options: dict[str, Any]) -> None:
        """Prepare; the cache is made with the first reply.

        Args:
            loaded: The model.
            most: Replies at once; more wait.
            options: More arguments for transformers' ``ContinuousBatchingConfig``.
        """
        self._loaded = loaded
        self._most = most
        self._options = options
        self._lock = threading.Lock()
        self._manager: Any = None
        self._deliverer = threading.current_thread()
        self._replies: dict[str, _Reply] = {}
        self._numbers = itertools.count(1)
        self._closed = False
        self.window = loaded.window
        self._recorded = False

    def reply(self, messages: Sequence[Message], sampling: Sampling, job: Job[Delta]) -> None:
        """Generate the reply and emit its pieces; blocks until its end.

        Raises:
            ContextOverflow: The conversation does not fit.
            ModelUnavailable: Memory is too small for it, or the model was closed.
            ModelReplyError: The model fails.
        """
        with self._lock:  # also because a tokenizer is not made for several threads
            manager, deliverer = self._running()
            tokens = self._loaded.fitting_prompt(messages, self.window)
            reply = _Reply(f"reply-{next(self._numbers)}", len(tokens), self._choice(sampling, len(tokens)))
            writer = Writer(self._loaded, len(tokens), sampling, self.window, job)
            self._replies[reply.name] = reply
            sent = {"request_id": reply.name, "max_new_tokens": writer.limit, "eos_token_id": self._loaded.ends}
            manager.add_request(tokens, streaming=True, **sent)
        try:
            written: Sequence[int] = ()
            for written in reply.read(lambda: writer.done, deliverer.is_alive):
                writer.write(written)
            if not job.unwanted:
                writer.finish(written, reply.cached)
        finally:
            del self._replies[reply.name]
            if not reply.finished:
                manager.cancel_request(reply.name)

    def close(self) -> None:
        """Finish the replies that are under way, and release the cache."""
        with self._lock:
            self._closed = True
            if self._manager is not None and self._manager.is_running():
                self._manager.stop(block=True)
            self._manager = None

    def _choice(self, sampling: Sampling, start: int) -> _Choice | None:
        if sampling.grammar is None and sampling.temperature <= 0:
            return None
        if self._recorded:
            msg = (
                "with CUDA graphs, compilation or asynchronous batching in batch_options=, a batch takes the likeliest "
                "token each time: leave them out for a temperature or a grammar"
            )
            raise ConfigurationError(msg)
        mask = None if sampling.grammar is None else self._loaded.grammar_mask(sampling, sampling.grammar, start)
        return _Choice(sampling, mask, self._loaded.model.device)

    def _running(self) -> tuple[Any, threading.Thread]:
        """Return the manager and who delivers for it; they are started where they are not, or not any more."""
        if self._closed:
            raise ModelUnavailable("the model was closed while this reply waited; ask again, and it is loaded again")
        if self._manager is None or not self._manager.is_running():
            try:
                with model_errors():
                    self._manager, self._deliverer = self._start()
            except ModelError as error:
                msg = (
                    f"a batch of {self._most} cannot be set up: {error}; a smaller context_tokens= needs less memory, "
                    "and so does a smaller num_blocks in batch_options="
                )
                raise ModelUnavailable(msg) from error
        return self._manager, self._deliverer

    def _start(self) -> tuple[Any, threading.Thread]:
        batching: Any = importlib.import_module("transformers.generation.continuous_batching.cb_logits_processors")
        library: Any = importlib.import_module("transformers")
        loaded = self._loaded
        options = {
            "max_batch_tokens": max(_TOKENS_AT_ONCE, self._most),
            "max_requests_per_batch": self._most,
            # A choice looks at the last token on the host, between two steps: they can neither be recorded nor overlap.
            "use_cuda_graph": False,
            "use_async_batching": False,
        }
        if loaded.model.device.type == "cpu":
            pages = -(-max(loaded.window, self._most * min(loaded.window, _ROOM)) // _PAGE)
            options |= {"page_size": _PAGE, "num_blocks": pages + 1}
        manager = loaded.model.init_continuous_batching(
            generation_config=library.GenerationConfig(do_sample=False, eos_token_id=loaded.ends),
            continuous_batching_config=library.ContinuousBatchingConfig(**{**options, **self._options}),
        )
        manager.logit_processor = batching.ContinuousBatchingLogitsProcessorList(
            library.LogitsProcessorList([_chooser(batching, self._replies)])
        )
        manager.logit_processor.tensors_required = 1
        manager.warmup()
        cache = manager.batch_processor.cache
        if cache.read_cache_limit is None:  # else any conversation fits, since what left the sliding window is dropped
            self.window = min(loaded.window, cache.num_blocks * manager.continuous_batching_config.page_size)
        cache.search_prefix_match = self._noting(cache.search_prefix_match)
        config = manager.continuous_batching_config
        compiled = config.varlen_compile_config or config.decode_compile_config
        self._recorded = bool(any(config.cuda_graph_booleans) or config.use_async_batching or compiled)
        manager.start()
        deliverer = threading.Thread(target=self._deliver, args=(manager,), daemon=True, name="transformers-batch")
        deliverer.start()
        return manager, deliverer

    def _noting(self, search: Callable[[str, list[int]], int]) -> Callable[[str, list[int]], int]:
        """Return ``search``, which notes how much of a reply's prompt the cache holds: transformers does not tell."""

        def noting(name: str, tokens: list[int]) -> int:
            found = search(name, tokens)
            if (reply := self._replies.get(name)) is not None and not reply.started:
                reply.cached = found
            return found

        return noting

    def _deliver(self, manager: Any) -> None:
        """Hand out what the manager's thread writes, until it ends; and see to it that it ends with the program."""
        while True:
            running = manager.is_running()  # asked first: what comes after the answer no was there before it
            output = manager.get_result(timeout=_POLL)
            if output is not None:
                with contextlib.suppress(KeyError):  # it was given up meanwhile
                    self._replies[output.request_id].outputs.put(output)
            elif not running:
                return
            elif not threading.main_thread().is_alive():
                manager.stop(block=False, hard_stop=True)


class _Reply:
    """One reply on its way from the manager's thread to the one that waits for it."""

    def __init__(self, name: str, start: int, choice: _Choice | None) -> None:
        self.name = name
        self.start = start
        self.choice = choice
        self.outputs: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.cached = 0
        self.started = False
        self.finished = False
        self.error: ModelError | None = None

    def read(self, done: Callable[[], bool], alive: Callable[[], bool]) -> Iterator[Sequence[int]]:
        """Yield all tokens that are written so far, again and again, to the end.

        Raises:
            ModelUnavailable: Memory is too small.
            ModelReplyError: The model failed.
        """
        while not (self.finished or done()):
            try:
                output = self.outputs.get(timeout=_POLL)
            except queue.Empty:
                if alive() or not self.outputs.empty():
                    continue
                raise ModelReplyError(
                    "the model failed in another reply, and this one ended with it; ask again"
                ) from None
            if self.error is not None:
                raise self.error
            self.finished = output.is_finished()
            if output.error:
                raise explained(output.error)
            self.started = True
            yield output.generated_tokens


class _Choice:
    """How one reply of several chooses its tokens, where it is not the likeliest that is wanted."""

    def __init__(self, sampling: Sampling, mask: GrammarMask | None, device: Any) -> None:
        torch: Any = importlib.import_module("torch")
        self._mask = mask
        self._temperature = sampling.temperature
        self._generator = torch.Generator(device=device)
        if sampling.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(sampling.seed)

    def __call__(self, written: Sequence[int], scores: Any) -> Any:
        """Return scores whose highest one is the token that is chosen.

        A draw from the distribution is its maximum after noise of Gumbel's distribution is added.
        """
        if self._mask is not None:
            scores = self._mask.mask(written, scores)
        if self._temperature <= 0:
            return scores
        noise = scores.new_empty(scores.shape).exponential_(generator=self._generator).log()
        return scores / self._temperature - noise


def _chooser(batching: Any, replies: dict[str, _Reply]) -> Any:
    """Return a logits processor of continuous batching that asks each reply for its `_Choice`.

    An error of one reply is kept for it alone: what a processor raises would end all of them.
    """
    base: Any = batching.ContinuousBatchingLogitsProcessor

    class Chooser(base):  # type: ignore[misc]
        supported_kwargs: ClassVar[dict[str, type]] = {}
        ignored_kwargs: ClassVar[tuple[str, ...]] = ()
        _rows: Sequence[tuple[_Reply, list[int]] | None] = ()

        def fill_defaults(self, tensor: Any) -> None:
            """Do nothing: the tensor carries nothing."""

        def prepare_tensor_args(self, requests: Sequence[Any]) -> Any:
            """Note which replies get a token in this step, and what they have written."""
            self._rows = [self._row(request.state) for request in requests]
            torch: Any = importlib.import_module("torch")
            return torch.zeros(len(requests), dtype=torch.int32)

        def _row(self, state: Any) -> tuple[_Reply, list[int]] | None:
            reply = replies.get(state.request_id)
            if reply is None or reply.choice is None:
                return None
            # A request that had to make room starts again with what it has written as a part of its prompt.
            return reply, [*state.initial_tokens[reply.start :], *state.generated_tokens]

        def __call__(self, scores: Any, _tensor: Any) -> Any:
            for index, row in enumerate(self._rows):
                if row is None or row[0].choice is None or row[0].error is not None:
                    continue
                try:
                    scores[index] = row[0].choice(row[1], scores[index])
                except ModelError as error:
                    row[0].error = error
            return scores

    return Chooser()
