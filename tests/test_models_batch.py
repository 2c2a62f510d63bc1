"""Several replies of one `TransformersModel` at once, by transformers' continuous batching, for real on the CPU."""

from __future__ import annotations

import asyncio
import itertools
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

import pytest

from codeact_tools.errors import ConfigurationError, ContextOverflow, ModelReplyError, ModelUnavailable
from codeact_tools.events import Usage
from codeact_tools.models.base import Message, Sampling
from codeact_tools.models.transformers import TransformersModel
from tests.smol import tiny_folder

TALKS = [
    [Message("system", "You are a helpful assistant. " * 8), Message("user", question)]
    for question in ("Count from one to five in words.", "Name a colour.", "What is Python?", "Say no.", "Why?")
]
SHORT = Sampling(max_tokens=10)


def test_options_that_exclude_each_other() -> None:
    """What cannot work together is refused before anything is loaded, and so are numbers out of range."""
    with pytest.raises(ConfigurationError, match=r"'prompt_lookup' and 'batch' exclude each other"):
        TransformersModel("x", prompt_lookup=4, batch=2)
    with pytest.raises(ConfigurationError, match="batch is 0, and it has to be at least 1"):
        TransformersModel("x", batch=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with random weights."""
    return tiny_folder(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
async def model(folder: Path) -> AsyncIterator[TransformersModel]:
    """The model, three replies at once."""
    made = TransformersModel(folder, device="cpu", batch=3)
    yield made
    await made.aclose()


async def ask(model: TransformersModel, messages: Sequence[Message], sampling: Sampling) -> tuple[str, Usage, str]:
    """Return the reply, its usage and why it ended."""
    deltas = [delta async for delta in model.stream(messages, sampling)]
    usage = next(delta.usage for delta in deltas if delta.usage)
    reason = next(delta.finish_reason for delta in deltas if delta.finish_reason)
    return "".join(delta.text for delta in deltas), usage, reason


@pytest.mark.transformers
@pytest.mark.timeout(400)
class TestBatch:
    """What needs the libraries."""

    @pytest.mark.parametrize("sliding_window", [None, 16])
    async def test_the_same_tokens(self, tmp_path: Path, sliding_window: int | None) -> None:
        """Over two turns, more sessions at once than the batch holds write what each writes alone."""
        folder = tiny_folder(tmp_path, sliding_window=sliding_window)
        one = TransformersModel(folder, device="cpu")
        many = TransformersModel(folder, device="cpu", batch=3)
        alone = [await ask(one, talk, SHORT) for talk in TALKS]
        together = await asyncio.gather(*(ask(many, talk, SHORT) for talk in TALKS))
        assert [(text, reason) for text, _, reason in together] == [(text, reason) for text, _, reason in alone]
        talks = [
            [*talk, Message("assistant", text), Message("user", "Go on.")]
            for talk, (text, _, _) in zip(TALKS, alone, strict=True)
        ]
        alone = [await ask(one, talk, SHORT) for talk in talks]
        together = await asyncio.gather(*(ask(many, talk, SHORT) for talk in talks))
        assert [text for text, _, _ in together] == [text for text, _, _ in alone]
        shared = [usage.cached_tokens for _, usage, _ in together]
        assert all(tokens == 0 for tokens in shared) if sliding_window else all(tokens >= 64 for tokens in shared)
        assert [usage.prompt_tokens for _, usage, _ in together] == [usage.prompt_tokens for _, usage, _ in alone]
        await one.aclose()
        await many.aclose()

    async def test_in_4_bits(self, folder: Path) -> None:
        """4 bits are computed in bfloat16, whose rounding turns close choices later on; the first token is the same."""
        one = TransformersModel(folder, device="cpu", load_in_4bit=True)
        many = TransformersModel(folder, device="cpu", load_in_4bit=True, batch=3)
        alone = [(await ask(one, talk, Sampling(max_tokens=1)))[0] for talk in TALKS[:3]]
        together = await asyncio.gather(*(ask(many, talk, SHORT) for talk in TALKS[:3]))
        assert all(text.startswith(first) for (text, _, _), first in zip(together, alone, strict=True))
        await one.aclose()
        await many.aclose()

    async def test_replies_stream(self, model: TransformersModel) -> None:
        """A reply comes in pieces while others are written."""
        pieces: list[int] = []

        async def listen(number: int) -> None:
            async for _delta in model.stream(TALKS[number], Sampling(max_tokens=20)):
                pieces.append(number)  # noqa: PERF401 - when it comes is the point

        await asyncio.gather(listen(0), listen(1))
        changes = sum(one != other for one, other in itertools.pairwise(pieces))
        assert changes > 2, pieces

    async def test_cancellation(self, model: TransformersModel) -> None:
        """Closing the iterator of one leaves the others, and makes room for one that waits."""
        alone = (await ask(model, TALKS[1], SHORT))[0]
        streams = [cast("Any", model.stream(TALKS[0], Sampling(max_tokens=1500))) for _ in range(3)]
        async with aclosing(streams[0]), aclosing(streams[1]):
            async with aclosing(streams[2]):
                for stream in streams:
                    await anext(stream)
                waiting = asyncio.create_task(ask(model, TALKS[1], SHORT))
                await asyncio.sleep(0)
            assert (await waiting)[0] == alone
            assert [(await anext(stream)).text != "" for stream in streams[:2]] == [True, True]

    async def test_a_stop_string(self, model: TransformersModel) -> None:
        """Each reply has its own stop strings; the one that stops is no hindrance to the others."""
        text, _, _ = await ask(model, TALKS[0], SHORT)
        mark = text[3:6]
        (stopped, _, reason), (other, _, _) = await asyncio.gather(
            ask(model, TALKS[0], Sampling(max_tokens=10, stop=(mark,))), ask(model, TALKS[0], SHORT)
        )
        assert (stopped, reason) == (text[: text.index(mark) + 3], "stop")
        assert other == text

    async def test_each_samples_for_itself(self, model: TransformersModel) -> None:
        """Temperatures and seeds belong to a reply: the same seed gives the same one, and cold ones stay cold."""
        cold = (await ask(model, TALKS[0], SHORT))[0]
        hot = Sampling(max_tokens=10, temperature=3.0, seed=7)
        first, second, third = await asyncio.gather(
            ask(model, TALKS[0], hot), ask(model, TALKS[0], SHORT), ask(model, TALKS[0], hot)
        )
        assert first[0] == third[0] != cold == second[0]
        unseeded = Sampling(max_tokens=10, temperature=3.0)
        assert len({(await ask(model, TALKS[0], unseeded))[0] for _ in range(3)}) > 1

    async def test_each_has_its_own_grammar_and_error(self, model: TransformersModel) -> None:
        """A grammar holds the reply that asked for it, and what is wrong with one is told to that one alone."""
        pytest.importorskip("llguidance")
        alone = (await ask(model, TALKS[2], SHORT))[0]
        held, wrong, long, free = await asyncio.gather(
            ask(model, TALKS[0], Sampling(max_tokens=10, grammar='root ::= "yes, " [0-9]+ "!"')),
            ask(model, TALKS[1], Sampling(max_tokens=10, grammar="root ::= nothing")),
            ask(model, [Message("user", "word " * 3000)], SHORT),
            ask(model, TALKS[2], SHORT),
            return_exceptions=True,
        )
        assert not isinstance(held, BaseException)
        assert not isinstance(free, BaseException)
        assert re.match(r"yes, [0-9]+", held[0])
        assert free[0] == alone
        assert isinstance(wrong, ModelReplyError)
        assert "the grammar fails" in str(wrong)
        assert isinstance(long, ContextOverflow)

    async def test_a_grammar_that_ends_in_the_middle(self, model: TransformersModel) -> None:
        """A mask that fails while the others write is an error of its own reply only."""
        pytest.importorskip("llguidance")
        alone = (await ask(model, TALKS[2], SHORT))[0]
        await model.load()
        batch: Any = model._batch
        choice = batch._choice

        def failing(sampling: Sampling, start: int) -> Any:
            made = choice(sampling, start)
            if made is not None:
                made._mask.mask = lambda _written, _scores: (_ for _ in ()).throw(
                    ModelReplyError("no token is allowed")
                )
            return made

        batch._choice = failing
        held, free = await asyncio.gather(
            ask(model, TALKS[0], Sampling(max_tokens=10, grammar='root ::= "a"')),
            ask(model, TALKS[2], SHORT),
            return_exceptions=True,
        )
        assert isinstance(held, ModelReplyError)
        assert not isinstance(free, BaseException)
        assert free[0] == alone

    async def test_after_a_failure_of_the_model(
        self, model: TransformersModel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A step that fails is an error of all replies in it, and the next reply starts afresh."""
        alone = (await ask(model, TALKS[0], SHORT))[0]
        loaded = model._loaded
        assert loaded is not None

        def fail(**_inputs: object) -> None:
            raise RuntimeError("no kernel")

        with monkeypatch.context() as broken:
            broken.setattr(loaded.model, "forward", fail)
            failures = await asyncio.gather(*(ask(model, talk, SHORT) for talk in TALKS[:2]), return_exceptions=True)
        assert all(isinstance(failure, ModelReplyError) for failure in failures), failures
        assert any("no kernel" in str(failure) for failure in failures)
        assert (await ask(model, TALKS[0], SHORT))[0] == alone

    async def test_closing_drains(self, folder: Path) -> None:
        """Replies under way are written to their end; afterwards the model loads again when it is asked."""
        model = TransformersModel(folder, device="cpu", batch=3)
        alone = [(await ask(model, talk, SHORT))[0] for talk in TALKS[:2]]
        streams = [cast("Any", model.stream(talk, SHORT)) for talk in TALKS[:2]]
        begun = [(await anext(stream)).text for stream in streams]
        closing = asyncio.create_task(model.aclose())
        rests = ["".join([delta.text async for delta in stream]) for stream in streams]
        await closing
        assert [start + rest for start, rest in zip(begun, rests, strict=True)] == alone
        assert model._loaded is None
        assert (await ask(model, TALKS[0], SHORT))[0] == alone[0]
        await model.aclose()

    async def test_memory_is_bounded(self, folder: Path) -> None:
        """With room for less than the sessions need, they take turns, write the same, and keep to the room."""
        roomy = TransformersModel(folder, device="cpu")
        sampling = Sampling(max_tokens=40)
        alone = [(await ask(roomy, talk, sampling))[0] for talk in TALKS]
        options = {"page_size": 16, "num_blocks": 14}
        narrow = TransformersModel(folder, device="cpu", batch=5, batch_options=options)
        together = await asyncio.gather(*(ask(narrow, talk, sampling) for talk in TALKS))
        assert [text for text, _, _ in together] == alone
        with pytest.raises(ContextOverflow, match=r"the model's window 2\d\d"):
            await ask(narrow, [Message("user", "word " * 400)], sampling)
        await narrow.aclose()
        await roomy.aclose()

    async def test_too_little_memory(self, folder: Path) -> None:
        """A cache that does not fit is told with what to change."""
        model = TransformersModel(folder, device="cpu", batch=3, batch_options={"num_blocks": 10**9})
        with pytest.raises(ModelUnavailable, match=r"a batch of 3 cannot be set up: .*smaller context_tokens="):
            await ask(model, TALKS[0], SHORT)
        await model.aclose()

    def test_the_program_ends(self, folder: Path) -> None:
        """A program that forgets to close the model ends nevertheless, though transformers' thread would hold it up."""
        script = (
            "import asyncio, sys\n"
            "from codeact_tools.models.base import Message, Sampling\n"
            "from codeact_tools.models.transformers import TransformersModel\n"
            "async def main():\n"
            "    model = TransformersModel(sys.argv[1], device='cpu', batch=2)\n"
            "    async for delta in model.stream([Message('user', 'Hi')], Sampling(max_tokens=2)): pass\n"
            "    print('done', flush=True)\n"
            "asyncio.run(main())\n"
        )
        finished = subprocess.run(
            [sys.executable, "-c", script, str(folder)], capture_output=True, text=True, timeout=350, check=False
        )
        assert (finished.returncode, finished.stdout) == (0, "done\n"), finished.stderr
