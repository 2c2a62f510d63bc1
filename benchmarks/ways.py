"""Other ways to write with transformers, on the weights that are loaded already: part of `benchmarks.models`.

Each is compared to `generate` as the library ships it. What random weights write means nothing and is hard to guess,
so a way that guesses ahead shows its tokens per step, too: its speed for other texts is the steps per second times
that.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from codeact_tools.models import TransformersModel
from codeact_tools.models.base import Message
from codeact_tools.models.transformers_batch import Batch
from codeact_tools.models.transformers_replies import LoadedModel

if TYPE_CHECKING:
    from benchmarks.models import Figures

Attempt = Callable[[str, Callable[[], Awaitable[None]]], Awaitable[None]]
GUESSES = 6
WAYS: dict[str, dict[str, Any]] = {"lookup": {"prompt_lookup": GUESSES}, "compile": {"compile": True}}
"""Ways for one session alone; compiling comes last, because it changes the weights' library for good."""


async def measure_ways(
    model: TransformersModel, whole: list[Message], options: argparse.Namespace, figures: Figures, attempt: Attempt
) -> None:
    """Measure `generate` itself, batches, and each of the ways that ``options`` name."""
    from benchmarks.models import batch, ratio, together

    await attempt("generate", lambda: plain(model, whole, options.written, figures))
    named = ("lookup", "compile", "graphs") if on_gpu() else ("lookup",)
    if options.ways != "auto":
        named = tuple(way for way in options.ways.split(",") if way not in {"", "none"})
    if "lookup" in named:
        await attempt("lookup", lambda: alone("lookup", model, whole, options.written, figures))
    for size in options.batch:
        shared = sharing(model, batch=size)
        await attempt(f"{size} at once", partial(batch, shared, whole, size, options.written, figures))
        release(shared)
        if "graphs" in named:
            recorded = sharing(model, batch=size, batch_options={"use_cuda_graph": True, "use_async_batching": True})

            async def graphs(shared: TransformersModel = recorded, size: int = size) -> None:
                await together(shared, whole, size, 4)  # records the graphs
                speed = await together(shared, whole, size, options.written)
                figures.ways_per_second[f"{size} at once, graphs"] = speed
                print(
                    f"{size:2} at once, graphs    {speed:8.1f} tokens/s: {ratio(speed, figures.write_per_second)} one"
                )

            await attempt(f"{size} at once, graphs", graphs)
            release(recorded)
    if "compile" in named:
        await attempt("compile", lambda: alone("compile", model, whole, options.written, figures))


async def alone(way: str, model: TransformersModel, whole: list[Message], written: int, figures: Figures) -> None:
    """Measure one of the `WAYS`."""
    from benchmarks.models import ask, fresh, ratio

    shared = sharing(model, **WAYS[way])
    loaded: Any = shared._loaded
    steps = 0
    forward = loaded.model.forward

    def counted(*positional: object, **inputs: object) -> Any:
        nonlocal steps
        steps += 1
        return forward(*positional, **inputs)

    messages = [Message("system", fresh() + whole[0].content), whole[1]]
    first = await ask(shared, messages, 4)
    figures.ways_first_seconds[way] = first.seconds
    again = await ask(shared, messages, 1)
    if way == "lookup":
        loaded.model.forward = counted
    try:
        more = await ask(shared, messages, written)
    finally:
        loaded.model.__dict__.pop("forward", None)
    extra = more.usage.completion_tokens - again.usage.completion_tokens
    speed = extra / max(more.seconds - again.seconds, 1e-9)
    figures.ways_per_second[way] = speed
    text = f"{way:22}{speed:8.1f} tokens/s: {ratio(speed, figures.generate_per_second)} `generate`"
    if way == "lookup":
        figures.ways_tokens_per_step[way] = more.usage.completion_tokens / max(steps, 1)
        text += f", {figures.ways_tokens_per_step[way]:.2f} tokens a step"
    print(f"{text}; the first reply took {first.seconds:.1f} s")
    release(shared)


async def plain(model: TransformersModel, whole: list[Message], written: int, figures: Figures) -> None:
    """Measure ``generate`` as transformers ships it, on the same weights: it reads the prompt each time."""
    import torch

    from benchmarks.models import fresh, ratio

    loaded: Any = model._loaded
    tokens = loaded.prompt([Message("system", fresh() + whole[0].content), whole[1]])
    ids = torch.tensor([tokens], device=loaded.model.device)
    mask = torch.ones_like(ids)

    def generate(most: int) -> tuple[int, float]:
        started = time.perf_counter()
        with torch.inference_mode():
            output = loaded.model.generate(ids, attention_mask=mask, max_new_tokens=most, do_sample=False)
        return output.shape[1] - ids.shape[1], time.perf_counter() - started

    one, more = await asyncio.to_thread(generate, 1), await asyncio.to_thread(generate, written)
    figures.generate_per_second = (more[0] - one[0]) / max(more[1] - one[1], 1e-9)
    times = ratio(figures.write_per_second, figures.generate_per_second)
    print(f"`generate` alone      {figures.generate_per_second:8.1f} tokens/s: this writes {times} as fast")


def sharing(model: TransformersModel, **options: Any) -> TransformersModel:
    """Return a model that writes in another way with the weights of ``model``, which are not loaded twice."""
    loaded: Any = model._loaded
    made = TransformersModel(model._source, **options)
    made._loaded = LoadedModel(loaded.tokenizer, loaded.model, model.context_tokens, made._decoding)
    made._batch = Batch(made._loaded, made._most, made._batch_options) if made._most > 1 else None
    made.context_tokens = made._loaded.window
    return made


def release(shared: TransformersModel) -> None:
    """Give back the caches, so that the next way has room."""
    shared._release()
    gc.collect()
    if on_gpu():
        import torch

        torch.cuda.empty_cache()


def on_gpu() -> bool:
    """Whether torch sees a GPU."""
    import torch

    return bool(torch.cuda.is_available())
