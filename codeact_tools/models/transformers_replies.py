"""A loaded model: its prompts, its replies one after the other, and the text of tokens as they come."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import ContextOverflow, ModelReplyError, ModelUnavailable
from ..events import Usage
from .background import Job
from .base import Delta, Message, Sampling, plain_text
from .masks import GrammarMask, vocabulary
from .prefixes import PrefixCache
from .templates import CHATML
from .transformers_lookup import write_ahead
from .transformers_static import StaticWorkbench


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """How tokens are written."""

    conversations: int = 4
    """How many of the last conversations keep their keys and values."""
    prompt_lookup: int = 0
    """Most tokens that are guessed ahead from what the conversation holds."""
    compiled: bool = False
    """Whether one step is compiled, on a static cache."""


class LoadedModel:
    """Weights, tokenizer and caches. Not thread-safe: the model's lock guards it."""

    def __init__(self, tokenizer: Any, model: Any, window: int | None, decoding: Decoding) -> None:
        self._torch: Any = importlib.import_module("torch")
        self._library: Any = importlib.import_module("transformers")
        self.tokenizer = tokenizer
        self.model = model
        self.window = window or _window(model.config, tokenizer)
        self.ends = self._ends()
        # Not made from the config: the cache of a sliding window cannot be cut back past the window.
        self.prefixes = PrefixCache(self._library.DynamicCache, most=decoding.conversations)
        self._decoding = decoding
        self._workbench = StaticWorkbench(model, self.window) if decoding.compiled else None
        self._vocabulary: Any = None

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return the tokens of a conversation up to the start of the assistant's turn, with one leading BOS at most."""
        if self.tokenizer.chat_template is None:
            text = CHATML.render(messages)
        else:
            turns = [{"role": message.role, "content": plain_text(message.content)} for message in messages]
            text = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        tokens: list[int] = self.tokenizer(text, add_special_tokens=False).input_ids
        start = self.tokenizer.bos_token_id
        adds_start = start is not None and self.tokenizer("").input_ids[:1] == [start]
        return [start, *tokens] if adds_start and tokens[:1] != [start] else tokens

    def fitting_prompt(self, messages: Sequence[Message], window: int) -> list[int]:
        """Return the `prompt` of ``messages``, which leaves room for at least one token of a reply.

        Raises:
            ContextOverflow: It does not.
        """
        tokens = self.prompt(messages)
        if len(tokens) >= window:
            msg = (
                f"the conversation has {len(tokens)} tokens and the model's window {window}; "
                "use fewer turns or shorter observations"
            )
            raise ContextOverflow(msg, needed=len(tokens), allowed=window)
        return tokens

    def reply(self, messages: Sequence[Message], sampling: Sampling, job: Job[Delta]) -> None:
        """Generate the reply and emit its pieces.

        Raises:
            ContextOverflow: The conversation does not fit.
            ModelUnavailable: Memory is too small for it.
            ModelReplyError: The model fails.
        """
        tokens = self.fitting_prompt(messages, self.window)
        prefix = self.prefixes.take(tokens)
        cached = len(prefix.tokens)
        masks = [] if sampling.grammar is None else [self.grammar_mask(sampling, sampling.grammar, len(tokens))]
        writer = Writer(self, len(tokens), sampling, self.window, job)
        try:
            with model_errors():
                cache = prefix.cache
                if self._workbench is not None:
                    cache = self._workbench.load(prefix.cache, len(tokens) + writer.limit)
                output = self._generate(tokens, cache, sampling, writer, masks)
                if self._workbench is not None:
                    prefix.cache = self._workbench.unload()
        except ModelUnavailable:
            self.prefixes.clear()
            raise
        prefix.tokens[:] = output[: prefix.cache.get_seq_length()]
        self.prefixes.keep(prefix)
        writer.finish(output[len(tokens) :], cached)

    def grammar_mask(self, sampling: Sampling, grammar: str, start: int) -> GrammarMask:
        """Return what holds one reply to ``grammar``, behind a prompt of ``start`` tokens.

        Raises:
            ConfigurationError: llguidance is not installed.
            ModelReplyError: The grammar is none.
        """
        if self._vocabulary is None:
            self._vocabulary = vocabulary(self.tokenizer, self.model.config.vocab_size, self.ends)
        return GrammarMask(grammar, self._vocabulary, start, self.ends, sampled=sampling.temperature > 0)

    def _generate(
        self, tokens: list[int], cache: Any, sampling: Sampling, writer: Writer, masks: list[GrammarMask]
    ) -> list[int]:
        """Return the tokens of prompt and reply."""
        torch = self._torch
        with torch.inference_mode(), torch.random.fork_rng(enabled=sampling.seed is not None):
            if sampling.seed is not None:
                torch.manual_seed(sampling.seed)
            # A grammar reads each token once, so it cannot try guesses that are taken back.
            if self._decoding.prompt_lookup and not masks:
                return tokens + write_ahead(
                    self.model,
                    tokens,
                    cache,
                    guesses=self._decoding.prompt_lookup,
                    limit=writer.limit,
                    temperature=sampling.temperature,
                    ends=self.ends,
                    wanted=writer.wants_more,
                )
            return self._generate_plainly(tokens, cache, sampling.temperature, writer, masks)

    def _generate_plainly(
        self, tokens: list[int], cache: Any, temperature: float, writer: Writer, masks: list[GrammarMask]
    ) -> list[int]:
        torch, library = self._torch, self._library
        config = library.GenerationConfig(
            max_new_tokens=writer.limit,
            do_sample=temperature > 0,
            eos_token_id=self.ends,
            pad_token_id=self.tokenizer.pad_token_id or self.ends[0],
            use_cache=True,
            compile_config=None if self._workbench is None else self._workbench.compiling,
            **({"temperature": temperature, "top_k": 0, "top_p": 1.0} if temperature > 0 else {}),
        )
        ids = torch.tensor([tokens], device=self.model.device)
        output = self.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            generation_config=config,
            past_key_values=cache,
            logits_processor=library.LogitsProcessorList(masks),
            stopping_criteria=library.StoppingCriteriaList([writer]),
        )
        result: list[int] = output[0].tolist()
        return result

    def _ends(self) -> list[int]:
        """Return the tokens that end a turn: the model's own, and ChatML's borders where the vocabulary has them."""
        own = self.model.generation_config.eos_token_id
        ends = set(own if isinstance(own, list) else [own])
        ends.add(self.tokenizer.eos_token_id)
        ends |= {self.tokenizer.get_vocab().get(border) for border in (CHATML.end, "<|im_start|>")}
        return sorted(end for end in ends if end is not None)


class Writer:
    """Turns a reply's tokens into text as they come, and says when to stop; a transformers stopping criterion."""

    def __init__(self, loaded: LoadedModel, start: int, sampling: Sampling, window: int, job: Job[Delta]) -> None:
        """Take what a prompt of ``start`` tokens leaves of the window, and who waits for the text."""
        self.limit = min(sampling.max_tokens, window - start)
        self._tokenizer = loaded.tokenizer
        self._ends = loaded.ends
        self._start = start
        self._stops = sampling.stop
        self._job = job
        self._text = ""
        self._stopped = False

    @property
    def done(self) -> bool:
        """Whether no more tokens are wanted."""
        return self._job.unwanted or self._stopped

    def __call__(self, ids: Any, _scores: object, **_options: object) -> Any:
        """Emit what the newest tokens add; return, as transformers wants it, whether generation is done."""
        self.write(ids[0, self._start :].tolist())
        return ids.new_full((ids.shape[0],), self.done, dtype=importlib.import_module("torch").bool)

    def wants_more(self, tokens: Sequence[int]) -> bool:
        """Emit what the newest of ``tokens`` add, and say whether to go on."""
        self.write(tokens)
        return not self.done

    def write(self, tokens: Sequence[int], *, last: bool = False) -> None:
        """Emit what ``tokens``, all of the reply so far, add to the text."""
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        if text.endswith("\ufffd") and not last:  # the middle of a character
            return
        if len(text) > len(self._text):
            added, self._text = text[len(self._text) :], text
            self._job.emit(Delta(text=added))
        self._stopped = any(stop in text for stop in self._stops)

    def finish(self, tokens: Sequence[int], cached: int) -> None:
        """Emit the rest, the reason of the end and the usage."""
        self.write(tokens, last=True)
        usage = Usage(prompt_tokens=self._start, completion_tokens=len(tokens), cached_tokens=cached)
        full = not self._stopped and len(tokens) >= self.limit and tokens[-1] not in self._ends
        self._job.emit(Delta(usage=usage, finish_reason="length" if full else "stop"))


@contextlib.contextmanager
def model_errors() -> Iterator[None]:
    """Map what a model raises while it generates.

    Raises:
        ModelUnavailable: Memory is too small.
        ModelReplyError: Anything else that is the model's or the libraries' fault.
    """
    try:
        yield
    except (RuntimeError, ValueError, IndexError, TypeError, NotImplementedError, MemoryError) as error:
        raise explained(f"{type(error).__name__}: {error}") from error


def explained(text: str) -> ModelUnavailable | ModelReplyError:
    """Return the error for what went wrong in a model, by its words."""
    if any(sign in text for sign in ("OutOfMemory", "out of memory", "MemoryError", "t allocate memory")):
        return ModelUnavailable(
            "memory is too small for this conversation; use fewer conversations= or a smaller context_tokens= "
            f"({text[:200]})"
        )
    return ModelReplyError(f"the model failed: {text[:500]}")


def _window(config: Any, tokenizer: Any) -> int:
    """Return how many tokens the model was made for; what a tokenizer says counts where it is no placeholder."""
    sizes = [getattr(config, "max_position_embeddings", None), tokenizer.model_max_length]
    return min(int(size) for size in (*sizes, 1 << 20) if size)
