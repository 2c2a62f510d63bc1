"""CodeActAgent, or any causal chat model, on this machine's GPU in 4 bits; on its CPU where it has to be."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.util
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import ConfigurationError, ContextOverflow, ModelReplyError, ModelUnavailable
from ..events import Usage
from .background import Job, iterate
from .base import Delta, Message, Sampling, plain_text, until_stop
from .masks import GrammarMask, vocabulary
from .prefixes import PrefixCache
from .templates import CHATML
from .windows import estimate

CODEACT_AGENT = "xingyaoww/CodeActAgent-Mistral-7b-v0.1"
"""The model that CodeAct's authors recommend."""

_BYTES_PER_WEIGHT = {True: 0.6, False: 2.0}
"""In memory: 4 bits with their scales and the layers that stay whole, or bfloat16."""


class TransformersModel:
    """A causal chat model through transformers.

    Example:
        >>> model = TransformersModel()                           # CodeActAgent; loads nothing yet
        >>> model = TransformersModel("models/my-finetune", load_in_4bit=False)

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
            load_options: More arguments for ``from_pretrained``.
        """
        self.name = str(name_or_path).rstrip("/").rpartition("/")[2]
        self.dialect = dialect
        self.context_tokens = context_tokens
        self._source = str(name_or_path)
        self._load_in_4bit = load_in_4bit
        self._device = device
        self._options = {**(load_options or {}), **({"revision": revision} if revision else {})}
        self._conversations = conversations
        self._loaded: _Loaded | None = None
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
        """Release the weights and the caches; a reply under way is finished first."""
        await asyncio.to_thread(self._release)

    def _release(self) -> None:
        with self._lock:
            self._loaded = None
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
                if self._loaded is not None:
                    self._loaded.reply(messages, sampling, job)
            finally:
                self._lock.release()

        async with contextlib.aclosing(iterate(work, name="transformers-model")) as deltas:
            async for delta in deltas:
                yield delta

    def _load(self) -> None:
        with self._lock:
            if self._loaded is None:
                plan = _plan(self._device, self._load_in_4bit)
                _check_memory(self._source, plan)
                with _load_errors(self._source, plan):
                    self._loaded = _Loaded(self._source, plan, self._options, self._conversations, self.context_tokens)
                self.context_tokens = self._loaded.window


class _Plan(NamedTuple):
    """Where and how the weights are loaded."""

    device: str
    load_in_4bit: bool


def _plan(device: str | None, load_in_4bit: bool | None) -> _Plan:
    _need("torch", "transformers", "accelerate")
    torch: Any = importlib.import_module("torch")
    gpu = torch.cuda.is_available()
    if device is not None and device.startswith("cuda") and not gpu:
        msg = (
            f"device is {device!r}, and torch {torch.__version__} sees no CUDA device: check `nvidia-smi`, and that "
            "torch is no CPU build; device='cpu' works for small models"
        )
        raise ConfigurationError(msg)
    device = device or ("cuda" if gpu else "cpu")
    if load_in_4bit is None:
        load_in_4bit = device.startswith("cuda") and importlib.util.find_spec("bitsandbytes") is not None
    if load_in_4bit:
        _need("bitsandbytes")
    return _Plan(device, load_in_4bit)


def _need(*modules: str) -> None:
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        msg = f"this model needs {', '.join(missing)}; run `pip install 'codeact-tools[transformers]'`"
        raise ConfigurationError(msg)


def _check_memory(source: str, plan: _Plan) -> None:
    """Refuse a folder's weights that cannot fit, before minutes are spent on loading them."""
    sizes = [file.stat().st_size for file in Path(source).glob("*.safetensors")] if Path(source).is_dir() else []
    torch: Any = importlib.import_module("torch")
    if not sizes or not plan.device.startswith("cuda"):
        return
    needed = sum(sizes) / 2 * _BYTES_PER_WEIGHT[plan.load_in_4bit]
    free, _ = torch.cuda.mem_get_info(plan.device)
    if needed > free:
        remedy = "free some, or use a smaller model" if plan.load_in_4bit else "load_in_4bit=True needs a quarter"
        msg = f"{source!r} needs about {needed / 1e9:.1f} GB of GPU memory, and {free / 1e9:.1f} GB are free; {remedy}"
        raise ModelUnavailable(msg)


@contextlib.contextmanager
def _load_errors(source: str, plan: _Plan) -> Iterator[None]:
    """Map whatever loading raises."""
    try:
        yield
    except (ModelUnavailable, ConfigurationError):
        raise
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        name = type(error).__name__
        if "OutOfMemory" in name or "out of memory" in text or "dispatched on the CPU" in text:
            remedy = "free some, or use a smaller model" if plan.load_in_4bit else "try load_in_4bit=True"
            msg = f"the memory of {plan.device!r} is too small for {source!r}; {remedy}"
        elif "Gated" in name or "gated" in text:
            msg = f"{source!r} is gated: accept its terms on the hub, then log in with `hf auth login` ({text})"
        elif isinstance(error, OSError):
            msg = (
                f"there is no model {source!r}: no folder of that name, nothing in the hub's cache, and no download. "
                f"Check the name and the network, or pass the path of a folder ({text})"
            )
        else:
            msg = f"{source!r} cannot be loaded: {name}: {text}"
        raise ModelUnavailable(msg) from error


class _Loaded:
    """Weights, tokenizer and caches."""

    def __init__(
        self, source: str, plan: _Plan, options: dict[str, Any], conversations: int, window: int | None
    ) -> None:
        self._torch: Any = importlib.import_module("torch")
        self._library: Any = importlib.import_module("transformers")
        shared = {name: options[name] for name in ("revision", "gguf_file", "local_files_only") if name in options}
        self._tokenizer = self._library.AutoTokenizer.from_pretrained(source, **shared)
        if plan.load_in_4bit:
            options = {**options, "quantization_config": self._quantization()}
        whole = plan.device == "cpu" and not plan.load_in_4bit  # most CPUs have no arithmetic in bfloat16
        dtype = self._torch.float32 if whole else self._torch.bfloat16
        self._model = self._library.AutoModelForCausalLM.from_pretrained(
            source, **{"dtype": dtype, "device_map": {"": plan.device}, **options}
        ).eval()
        self._vocabulary: Any = None
        self.window = window or _window(self._model.config, self._tokenizer)
        # Not made from the config: the cache of a sliding window cannot be cut back past the window.
        self.prefixes = PrefixCache(self._library.DynamicCache, most=conversations)

    def _quantization(self) -> Any:
        return self._library.BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=self._torch.bfloat16,
        )

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return the tokens of a conversation up to the start of the assistant's turn, with one leading BOS at most."""
        if self._tokenizer.chat_template is None:
            text = CHATML.render(messages)
        else:
            turns = [{"role": message.role, "content": plain_text(message.content)} for message in messages]
            text = self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        tokens: list[int] = self._tokenizer(text, add_special_tokens=False).input_ids
        start = self._tokenizer.bos_token_id
        adds_start = start is not None and self._tokenizer("").input_ids[:1] == [start]
        return [start, *tokens] if adds_start and tokens[:1] != [start] else tokens

    def reply(self, messages: Sequence[Message], sampling: Sampling, job: Job[Delta]) -> None:
        """Generate the reply and emit its pieces.

        Raises:
            ContextOverflow: The conversation does not fit.
            ModelUnavailable: Memory is too small for it.
            ModelReplyError: The model fails.
        """
        tokens = self.prompt(messages)
        if len(tokens) >= self.window:
            msg = (
                f"the conversation has {len(tokens)} tokens and the model's window {self.window}; "
                "use fewer turns or shorter observations"
            )
            raise ContextOverflow(msg, needed=len(tokens), allowed=self.window)
        prefix = self.prefixes.take(tokens)
        cached = len(prefix.tokens)
        masks = [] if sampling.grammar is None else [self._mask(sampling, sampling.grammar, len(tokens))]
        writer = _Writer(self._tokenizer, len(tokens), sampling, job)
        try:
            output = self._generate(tokens, prefix.cache, sampling, writer, masks)
        except self._torch.OutOfMemoryError as error:
            self.prefixes.clear()
            msg = "the GPU's memory is too small for this conversation; use fewer conversations= or a smaller window"
            raise ModelUnavailable(msg) from error
        except (RuntimeError, ValueError, IndexError) as error:
            msg = f"the model failed: {error}"
            raise ModelReplyError(msg) from error
        prefix.tokens[:] = output[: prefix.cache.get_seq_length()]
        self.prefixes.keep(prefix)
        writer.finish(output[len(tokens) :], cached)

    def _mask(self, sampling: Sampling, grammar: str, start: int) -> GrammarMask:
        if self._vocabulary is None:
            self._vocabulary = vocabulary(self._tokenizer, self._model.config.vocab_size, self._ends())
        return GrammarMask(grammar, self._vocabulary, start, self._ends(), sampled=sampling.temperature > 0)

    def _generate(
        self, tokens: list[int], cache: Any, sampling: Sampling, writer: _Writer, masks: list[GrammarMask]
    ) -> list[int]:
        """Return the tokens of prompt and reply."""
        torch, library = self._torch, self._library
        config = library.GenerationConfig(
            max_new_tokens=min(sampling.max_tokens, self.window - len(tokens)),
            do_sample=sampling.temperature > 0,
            eos_token_id=self._ends(),
            pad_token_id=self._tokenizer.pad_token_id or self._ends()[0],
            use_cache=True,
            **({"temperature": sampling.temperature, "top_k": 0, "top_p": 1.0} if sampling.temperature > 0 else {}),
        )
        ids = torch.tensor([tokens], device=self._model.device)
        with torch.inference_mode(), torch.random.fork_rng(enabled=sampling.seed is not None):
            if sampling.seed is not None:
                torch.manual_seed(sampling.seed)
            output = self._model.generate(
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
        """Return the tokens that end a turn: the model's own, and ChatML's where the vocabulary has it."""
        own = self._model.generation_config.eos_token_id
        ends = set(own if isinstance(own, list) else [] if own is None else [own])
        ends.add(self._tokenizer.eos_token_id)
        if (end := self._tokenizer.get_vocab().get(CHATML.end)) is not None:
            ends.add(end)
        return sorted(end for end in ends if end is not None)


class _Writer:
    """Turns tokens into text as they come, and says when to stop; a transformers stopping criterion."""

    def __init__(self, tokenizer: Any, start: int, sampling: Sampling, job: Job[Delta]) -> None:
        self._tokenizer = tokenizer
        self._start = start
        self._sampling = sampling
        self._job = job
        self._text = ""
        self._stopped = False

    def __call__(self, ids: Any, _scores: object, **_options: object) -> Any:
        """Emit what the newest token adds; return, as transformers wants it, whether generation is done."""
        self._write(ids[0, self._start :].tolist(), last=False)
        return ids.new_full((ids.shape[0],), self._job.unwanted or self._stopped, dtype=_bool())

    def finish(self, tokens: list[int], cached: int) -> None:
        """Emit the rest, the reason of the end and the usage."""
        self._write(tokens, last=True)
        usage = Usage(prompt_tokens=self._start, completion_tokens=len(tokens), cached_tokens=cached)
        full = not self._stopped and len(tokens) >= self._sampling.max_tokens
        self._job.emit(Delta(usage=usage, finish_reason="length" if full else "stop"))

    def _write(self, tokens: list[int], *, last: bool) -> None:
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        if text.endswith("\ufffd") and not last:  # the middle of a character
            return
        if len(text) > len(self._text):
            added, self._text = text[len(self._text) :], text
            self._job.emit(Delta(text=added))
        self._stopped = any(stop in text for stop in self._sampling.stop)


def _bool() -> Any:
    return importlib.import_module("torch").bool


def _window(config: Any, tokenizer: Any) -> int:
    """Return how many tokens the model was made for; what a tokenizer says counts where it is no placeholder."""
    sizes = [getattr(config, "max_position_embeddings", None), tokenizer.model_max_length]
    return min(int(size) for size in (*sizes, 1 << 20) if size)
