"""The embedded model, for real: loading, stopping, cancelling, and reading each prompt only once."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

import pytest

from codeact_tools.dialects import DIALECTS
from codeact_tools.errors import ConfigurationError, ContextOverflow, ModelReplyError, ModelUnavailable
from codeact_tools.models.base import Message, Sampling
from codeact_tools.models.embedded import EmbeddedModel, _delta, available_cpus
from codeact_tools.models.grammar import action_grammar
from codeact_tools.models.weights import locate
from codeact_tools.models.windows import context_window, count_tokens, estimate
from tests.checks_shop import make_registry

pytestmark = pytest.mark.timeout(1200)  # seconds on a quiet machine, minutes on a busy one

ROOT = Path(__file__).parent.parent
CHAT = DIALECTS["chat"]
QUESTION = [
    Message("system", f"{CHAT.preamble} {CHAT.acting} {CHAT.answering}"),
    Message("user", "What is 1234 * 5678? Compute it with Python."),
]


@pytest.fixture(scope="module")
def window() -> int:
    """A small window, so that the tests load quickly; the same for all, so that they share one engine."""
    if locate() is None:
        pytest.skip("the embedded model's weights are not here: codeact-tools model fetch")
    pytest.importorskip("xllamacpp")
    return 1024


@pytest.fixture(scope="module")
def keeper(window: int) -> EmbeddedModel:
    """A model that keeps the engine loaded between tests."""
    model = EmbeddedModel(context_tokens=window)
    asyncio.run(model.load())
    return model


@pytest.fixture
async def model(keeper: EmbeddedModel, window: int) -> AsyncIterator[EmbeddedModel]:
    """A model of its own, on the shared engine."""
    model = EmbeddedModel(context_tokens=window)
    yield model
    await model.aclose()


@pytest.mark.model
async def test_a_session_reads_its_prompt_once(model: EmbeddedModel) -> None:
    """The second turn reads only what is new, and temperature 0 gives the same reply again."""
    sampling = Sampling(stop=CHAT.stop, max_tokens=30)
    deltas = [delta async for delta in model.stream(QUESTION, sampling)]
    text = "".join(delta.text for delta in deltas)
    reply = CHAT.parse(text)
    assert "1234" in reply.code
    turn = [*QUESTION, Message("assistant", reply.text), Message("user", CHAT.observe("7006652\n"))]
    (usage,) = [delta.usage async for delta in model.stream(turn, sampling) if delta.usage]
    assert usage.cached_tokens > 0.8 * usage.prompt_tokens
    assert "".join([delta.text async for delta in model.stream(QUESTION, sampling)]) == text


@pytest.mark.model
async def test_counting(model: EmbeddedModel) -> None:
    """The prompt is counted as the engine reads it; before the weights are loaded, it is estimated."""
    assert count_tokens(model, QUESTION) == estimate(QUESTION)
    (usage,) = [delta.usage async for delta in model.stream(QUESTION, Sampling(max_tokens=1)) if delta.usage]
    assert (count_tokens(model, QUESTION), context_window(model)) == (usage.prompt_tokens, 1024)


@pytest.mark.model
async def test_a_grammar(model: EmbeddedModel) -> None:
    """The reply is one that the grammar allows; what is no grammar is refused by name."""
    sampling = Sampling(max_tokens=10, grammar='root ::= "It is " [0-9] [0-9]? [0-9]?')
    text = "".join([delta.text async for delta in model.stream(QUESTION, sampling)])
    assert re.fullmatch(r"It is \d{1,3}", text)
    with pytest.raises(ModelReplyError, match="grammar"):
        [_ async for _ in model.stream(QUESTION, Sampling(grammar="root ::= ("))]


@pytest.mark.model
async def test_the_grammar_of_actions(model: EmbeddedModel) -> None:
    """llama.cpp reads the grammar of actions, and the model still writes the action that it wants."""
    grammar = action_grammar(make_registry(), CHAT.action)
    sampling = Sampling(stop=CHAT.stop, max_tokens=30, grammar=grammar)
    reply = CHAT.parse("".join([delta.text async for delta in model.stream(QUESTION, sampling)]))
    assert "1234" in reply.code


@pytest.mark.model
async def test_a_reply_can_be_abandoned(model: EmbeddedModel) -> None:
    """Closing the iterator returns at once, and the engine is free for the next reply soon after."""
    async with aclosing(cast("Any", model.stream(QUESTION, Sampling(max_tokens=500)))) as stream:
        await anext(stream)
        start = time.monotonic()
    assert time.monotonic() - start < 20  # all of the reply would take longer on any machine
    deltas = [delta async for delta in model.stream(QUESTION, Sampling(max_tokens=2))]
    assert [delta.finish_reason for delta in deltas if delta.finish_reason] == ["length"]


@pytest.mark.model
async def test_models_share_an_engine(model: EmbeddedModel, keeper: EmbeddedModel) -> None:
    """Weights are in memory once, and closing one model does not take them from the other."""
    await model.load()
    assert model._engine is keeper._engine is not None
    await model.aclose()
    assert keeper._engine is not None


@pytest.mark.model
async def test_a_conversation_that_is_too_long(model: EmbeddedModel) -> None:
    """The error says how long the conversation is, and how long it may be."""
    with pytest.raises(ContextOverflow, match="tokens and the embedded model's window 1024") as overflow:
        [_ async for _ in model.stream([Message("user", "word " * 3000)], Sampling())]
    assert (overflow.value.allowed, (overflow.value.needed or 0) > 3000) == (1024, True)


@pytest.mark.model
def test_it_prints_nothing_and_lets_the_program_end(window: int) -> None:
    """A program that ends in the middle of a reply ends at once, with its own exit code, and nothing on stderr."""
    program = f"""
import asyncio, sys
from codeact_tools.models import EmbeddedModel
from codeact_tools.models.base import Message, Sampling

async def main():
    model = EmbeddedModel(context_tokens={window})
    async for delta in model.stream([Message("user", "Tell me a long story.")], Sampling(max_tokens=500)):
        sys.exit(7)

asyncio.run(main())
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=1000)
    assert (run.returncode, run.stdout, run.stderr) == (7, "", "")


@pytest.mark.model
async def test_a_damaged_file(window: int, tmp_path: Path) -> None:
    """Weights that llama.cpp cannot load are told with their path."""
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + b"\0" * 100)
    with pytest.raises(ModelUnavailable, match=r"cannot load '.*broken\.gguf'.*may be damaged"):
        await EmbeddedModel(broken).load()


def test_what_is_no_model_file(tmp_path: Path) -> None:
    """A path that is no GGUF file is refused at once."""
    with pytest.raises(ConfigurationError, match="cannot read the model file"):
        EmbeddedModel(tmp_path / "missing.gguf")
    (tmp_path / "text.gguf").write_text("hello")
    with pytest.raises(ConfigurationError, match="is no GGUF file"):
        EmbeddedModel(tmp_path / "text.gguf")


async def test_a_missing_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the library the error names the extra that brings it."""
    (tmp_path / "some.gguf").write_bytes(b"GGUF")
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'codeact-tools\[embedded\]'"):
        await EmbeddedModel(tmp_path / "some.gguf").load()


def test_a_refusal_of_the_engine() -> None:
    """What the engine refuses is a `ModelReplyError` with its words."""
    with pytest.raises(ModelReplyError, match="refuses the request: bad"):
        _delta({"error": {"code": 400, "message": "bad", "type": "invalid_request_error"}})


def test_cpus() -> None:
    """At least one thread is used, and never more than sixteen."""
    assert 1 <= available_cpus() <= 16
