"""How fast is a model, and what does its prefix cache save? Run: python -m benchmarks.models [--model embedded] ...

    python -m benchmarks.models --model embedded
    python -m benchmarks.models --model http://localhost:8000/v1#NAME --batch 8,32
    python -m benchmarks.models --model transformers:xingyaoww/CodeActAgent-Mistral-7b-v0.1 --batch 8,32
    python -m benchmarks.models --model random:7b --batch 8,32 --json figures.json     # one command for a GPU

The same work for all, through the model's own protocol: load, memory, reading and writing speed, how soon a turn of a
long session starts with the prefix cache and without, several sessions at once. For transformers also other ways to
write, on the same weights, and `generate` as the library ships it: see `benchmarks/ways.py`. ``random:7b`` is Mistral's
7B with random weights, in 4 bits on a GPU; it needs no download.

What fails is told by name and stops nothing else; what has not begun after ``--seconds`` is left out. ``--json FILE``
writes the figures for programs. Speeds depend on what else the machine does: the ratios are worth more than the times.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.random_model import build
from codeact_tools.events import Usage
from codeact_tools.models import TransformersModel, resolve_model
from codeact_tools.models.base import Message, Model, Sampling
from codeact_tools.models.windows import count_tokens

ROOT = Path(__file__).parent.parent


@dataclass(kw_only=True)
class Figures:
    """What was measured: seconds, tokens per second, gigabytes."""

    model: str
    machine: str
    load_seconds: float = 0.0
    session_memory_gb: float = 0.0
    """The most that the process, or the GPU where there is one, has held for one session, loading left out on a GPU."""
    memory_gb: float = 0.0
    """The same for all that was measured."""
    prompt_tokens: int = 0
    read_per_second: float = 0.0
    write_per_second: float = 0.0
    turn_seconds: list[float] = field(default_factory=list)
    """How soon each turn of the session starts, when it follows the one before."""
    last_turn_fresh_seconds: float = 0.0
    """The last turn again, for a conversation that begins with other words, so that nothing is cached."""
    last_turn_cached: float = 0.0
    """Part of the last turn's prompt that was cached."""
    batch_per_second: dict[int, float] = field(default_factory=dict)
    """Tokens that so many sessions at once write per second, all together."""
    generate_per_second: float | None = None
    """The speed of ``generate`` as transformers ships it."""
    ways_per_second: dict[str, float] = field(default_factory=dict)
    """The speed of other ways to write, one session alone."""
    ways_tokens_per_step: dict[str, float] = field(default_factory=dict)
    """Tokens that a step of the model yields, where one can yield several."""
    ways_first_seconds: dict[str, float] = field(default_factory=dict)
    """How long the first reply takes, with what has to be compiled for it."""
    failures: dict[str, str] = field(default_factory=dict)
    """What could not be measured, and why."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One request."""

    seconds: float
    usage: Usage


async def ask(model: Model, messages: Sequence[Message], most: int) -> Reply:
    """Ask for a reply of ``most`` tokens and wait for its end."""
    usage, started = Usage(), time.perf_counter()
    async for delta in model.stream(messages, Sampling(max_tokens=most)):
        usage = delta.usage or usage
    return Reply(seconds=time.perf_counter() - started, usage=usage)


def fresh() -> str:
    """Return words that no conversation began with so far."""
    return f"Session {uuid.uuid4().hex}. "


def session(model: Model, tokens: int, turns: int) -> list[Message]:
    """Return a conversation of about ``tokens`` tokens: a long system message, and questions with their answers."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md")))
    per_character = count_tokens(model, [Message("user", text[:20_000])]) / min(len(text), 20_000)
    size = int(tokens / per_character)
    text *= size // len(text) + 1
    head, piece = int(size * 0.6), int(size * 0.4 / (2 * turns - 1))
    messages = [Message("system", text[:head])]
    for turn in range(2 * turns - 1):
        start = head + turn * piece
        messages.append(Message("assistant" if turn % 2 else "user", text[start : start + piece]))
    return messages


async def measure(model: Model, options: argparse.Namespace) -> Figures:
    """Do all the work, printing each figure as it is known."""
    figures = Figures(model=model.name, machine=machine())
    print(f"{figures.model} on {figures.machine}")
    await load(model, figures)
    whole = session(model, options.tokens, options.turns)

    async def attempt(name: str, work: Callable[[], Awaitable[None]]) -> None:
        if time.monotonic() > options.until:
            figures.failures[name] = f"not begun within {options.seconds} seconds"
        else:
            try:
                await work()
            except Exception as error:
                figures.failures[name] = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        if name in figures.failures:
            print(f"{name:22}not measured: {figures.failures[name]}")

    await attempt("turns", lambda: turns(model, whole, options.turns, figures))
    await attempt("speeds", lambda: speeds(model, whole, options.written, figures))
    if isinstance(model, TransformersModel):
        from benchmarks.ways import measure_ways

        await measure_ways(model, whole, options, figures, attempt)
    else:
        for size in options.batch:
            await attempt(f"{size} at once", partial(batch, model, whole, size, options.written, figures))
    figures.memory_gb = memory()
    print(f"memory                {figures.memory_gb:8.2f} GB at most")
    await model.aclose()
    return figures


async def load(model: Model, figures: Figures) -> None:
    """Load the model, where it is in this process, and let it say its first word."""
    started = time.perf_counter()
    if (loading := getattr(model, "load", None)) is not None:
        await loading()
    figures.load_seconds = time.perf_counter() - started
    await ask(model, [Message("user", fresh())], 2)
    forget_memory()
    print(f"load                  {figures.load_seconds:8.2f} s")


async def speeds(model: Model, whole: list[Message], written: int, figures: Figures) -> None:
    """Measure reading, on a prompt of which nothing is cached, and then writing, on the same prompt."""
    messages = [Message("system", fresh() + whole[0].content), whole[1]]
    first = await ask(model, messages, 1)
    again = await ask(model, messages, 1)
    more = await ask(model, messages, written)
    figures.prompt_tokens = first.usage.prompt_tokens
    figures.read_per_second = first.usage.prompt_tokens / first.seconds
    extra = more.usage.completion_tokens - again.usage.completion_tokens
    figures.write_per_second = extra / max(more.seconds - again.seconds, 1e-9)
    print(f"reading               {figures.read_per_second:8.1f} tokens/s ({figures.prompt_tokens} tokens)")
    print(f"writing               {figures.write_per_second:8.1f} tokens/s ({extra} tokens)")


async def turns(model: Model, whole: list[Message], count: int, figures: Figures) -> None:
    """Measure how soon each turn starts, and the last one without a cache."""
    start = fresh()
    head, rest = Message("system", start + whole[0].content), whole[1:]
    last = Reply(seconds=0.0, usage=Usage())
    for turn in range(count):
        last = await ask(model, [head, *rest[: 2 * turn + 1]], 1)
        figures.turn_seconds.append(last.seconds)
    figures.session_memory_gb = memory()
    other = await ask(model, [Message("system", fresh() + whole[0].content), *rest], 1)
    figures.last_turn_fresh_seconds = other.seconds
    figures.last_turn_cached = last.usage.cached_tokens / max(last.usage.prompt_tokens, 1)
    seconds = " ".join(f"{turn:.2f}" for turn in figures.turn_seconds)
    print(
        f"turns start after     {seconds} s ({last.usage.prompt_tokens} tokens, {figures.last_turn_cached:.0%} cached)"
    )
    print(f"turn {count} without cache  {other.seconds:8.2f} s: {other.seconds / last.seconds:.1f} times as long")
    print(f"memory for a session  {figures.session_memory_gb:8.2f} GB")


async def batch(model: Model, whole: list[Message], size: int, written: int, figures: Figures) -> None:
    """Let so many sessions write at once."""
    speed = await together(model, whole, size, written)
    figures.batch_per_second[size] = speed
    print(f"{size:2} sessions at once   {speed:8.1f} tokens/s: {ratio(speed, figures.write_per_second)} one alone")


async def together(model: Model, whole: list[Message], size: int, written: int) -> float:
    """Return the tokens that so many sessions at once write per second."""
    sessions = [[Message("system", whole[0].content[:2000]), Message("user", fresh())] for _ in range(size)]
    started = time.perf_counter()
    replies = await asyncio.gather(*(ask(model, messages, written) for messages in sessions))
    return sum(reply.usage.completion_tokens for reply in replies) / (time.perf_counter() - started)


def ratio(speed: float, other: float | None) -> str:
    """Say how many times as fast as another one a speed is."""
    return f"{speed / other:.2f} times" if other else "? times"


def machine() -> str:
    """Name the GPU, else the processor."""
    try:
        import torch

        if torch.cuda.is_available():
            return str(torch.cuda.get_device_name())
    except ImportError:
        pass
    return f"{os.cpu_count()} CPUs ({platform.machine()})"


def memory() -> float:
    """Return the most memory that was held, in GB: of the GPU where there is one, else of the process."""
    try:
        import torch

        if torch.cuda.is_available():
            return torch.cuda.max_memory_allocated() / 1e9  # type: ignore[no-any-return]
    except ImportError:
        pass
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def forget_memory() -> None:
    """Count the GPU's memory from now on: loading needs more for a moment."""
    try:
        import torch

        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
    except ImportError:
        pass


def choose(name: str, folder: Path, *, window: int) -> Model:
    """Return the model of that name; ``random:7b`` and ``random:tiny`` are built in ``folder`` first."""
    kind, _, size = name.partition(":")
    if kind == "random":
        started = time.perf_counter()
        path = build(size, folder / f"random-{size}")
        print(f"built {path.name} in {time.perf_counter() - started:.0f} s")
        return TransformersModel(path, load_in_4bit=True)
    if name == "embedded":
        from codeact_tools.models import EmbeddedModel

        return EmbeddedModel(context_tokens=window)
    return resolve_model(name)[0]


def main(arguments: Sequence[str] | None = None) -> Figures:
    """Parse the options, measure, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="auto", help="as CodeActAgent takes it, or random:7b, random:tiny")
    parser.add_argument("--tokens", type=int, default=4096, help="of the session's last prompt")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--written", type=int, default=128, help="tokens of a reply")
    parser.add_argument("--batch", type=lambda text: [int(part) for part in text.split(",") if part], default=[])
    parser.add_argument("--ways", default="auto", help="of transformers: lookup,compile,graphs, or none")
    parser.add_argument("--seconds", type=float, default=400, help="after these, nothing new begins")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="for random weights")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    options.until = time.monotonic() + options.seconds
    model = choose(options.model, options.folder, window=2 * options.tokens)
    figures = asyncio.run(measure(model, options))
    if options.json is not None:
        options.json.write_text(json.dumps(asdict(figures), indent=1) + "\n", encoding="utf-8")
    return figures


if __name__ == "__main__":
    main()
