"""`EndpointModel` against the server that transformers ships, with SmolLM2 on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import aclosing
from typing import Any, cast

import pytest

from codeact_tools.errors import ModelUnavailable
from codeact_tools.models.base import Message, Sampling
from codeact_tools.models.endpoint import EndpointModel
from codeact_tools.models.templates import TEMPLATES
from tests.servers import TransformersServer
from tests.smol import smol_folder

pytestmark = [pytest.mark.transformers, pytest.mark.timeout(400)]

TALK = [Message("system", "You are a helpful assistant."), Message("user", "Count from one to five in words.")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TransformersServer]:
    """The running server."""
    folder = smol_folder(tmp_path_factory.mktemp("smollm2"))
    with TransformersServer(folder, folder / "serve.log") as running:
        yield running


async def collect(model: EndpointModel, messages: list[Message], sampling: Sampling) -> tuple[str, str | None, int]:
    """Return the reply, why it ended, and the tokens of the prompt."""
    deltas = [delta async for delta in model.stream(messages, sampling)]
    reasons = [delta.finish_reason for delta in deltas if delta.finish_reason]
    read = [delta.usage.prompt_tokens for delta in deltas if delta.usage]
    return "".join(delta.text for delta in deltas), reasons[-1] if reasons else None, max(read, default=0)


async def test_two_turns(server: TransformersServer) -> None:
    """Replies stream, end at their length, and go on with the conversation; the same question has the same answer."""
    model = EndpointModel(server.base_url, server.model)
    text, reason, read = await collect(model, TALK, Sampling(max_tokens=12))
    assert (bool(text.strip()), reason) == (True, "length")
    again, _, _ = await collect(model, TALK, Sampling(max_tokens=12))
    assert again == text
    talk = [*TALK, Message("assistant", text), Message("user", "And back?")]
    _, _, more = await collect(model, talk, Sampling(max_tokens=4))
    assert more > read > 0
    await model.aclose()


async def test_a_stop_string(server: TransformersServer) -> None:
    """The reply ends with the stop string, which this server keeps."""
    model = EndpointModel(server.base_url, server.model)
    text, _, _ = await collect(model, TALK, Sampling(max_tokens=12))
    word = text[2:5]
    stopped, reason, _ = await collect(model, TALK, Sampling(max_tokens=12, stop=(word,), seed=1))
    assert (stopped, reason) == (text[: text.index(word) + len(word)], "stop")
    await model.aclose()


async def test_plain_completions(server: TransformersServer) -> None:
    """With the template filled in here, the model reads what the server's own template gives, so it says the same."""
    chat = EndpointModel(server.base_url, server.model)
    plain = EndpointModel(server.base_url, server.model, completions=TEMPLATES["chatml"])
    expected, _, read = await collect(chat, TALK, Sampling(max_tokens=12))
    text, _, own = await collect(plain, TALK, Sampling(max_tokens=12))
    assert (text, own) == (expected, read)
    for model in (chat, plain):
        await model.aclose()


async def test_a_reply_can_be_abandoned(server: TransformersServer) -> None:
    """Hanging up leaves the server ready for the next request."""
    model = EndpointModel(server.base_url, server.model)
    async with aclosing(cast("Any", model.stream(TALK, Sampling(max_tokens=300)))) as stream:
        await anext(stream)
    text, _, _ = await collect(model, TALK, Sampling(max_tokens=2))
    assert text
    await model.aclose()


async def test_an_unknown_model(server: TransformersServer) -> None:
    """A model that the server does not have is an error that names it."""
    model = EndpointModel(server.base_url, "no/such-model", retries=0)
    with pytest.raises(ModelUnavailable, match=r"no/such-model|is served"):
        await collect(model, TALK, Sampling(max_tokens=2))
    await model.aclose()
