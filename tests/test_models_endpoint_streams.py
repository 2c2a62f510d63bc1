"""`EndpointModel` against streams and refusals in every form that servers give them."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import struct
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from email.utils import formatdate
from time import time
from typing import Any

import pytest

from codeact_tools.errors import ContextOverflow, ModelError, ModelReplyError, ModelUnavailable
from codeact_tools.models.base import Delta, Message, Sampling
from codeact_tools.models.endpoint import EndpointModel
from codeact_tools.models.endpoint_events import chunks
from tests.faulty_endpoint import USAGE, Behaviour, Exchange, FaultyEndpoint, chunk, faulty_endpoint

HELLO = [Message("user", "Hello")]
KEY = "sk-a-secret-of-ours"
pytestmark = pytest.mark.usefixtures("no_endpoint_in_the_environment")


@pytest.fixture
def server() -> Iterator[FaultyEndpoint]:
    """A server on the loopback interface."""
    with faulty_endpoint() as endpoint:
        yield endpoint


async def collect(model: EndpointModel) -> tuple[str, list[Delta]]:
    """Return the whole reply, and its pieces."""
    try:
        deltas = [delta async for delta in model.stream(HELLO, Sampling())]
    finally:
        await model.aclose()
    return "".join(delta.text for delta in deltas), deltas


def event(data: object) -> str:
    """One event, as servers write it."""
    return f"data: {json.dumps(data)}\n\n"


HI = event(chunk("Hi"))
END = event(chunk(finish="stop")) + "data: [DONE]\n\n"
LINES = json.dumps(chunk("Hi"), indent=1).replace("\n", "\ndata: ")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param((HI + END).replace("\n", "\r\n"), id="carriage returns and line feeds"),
        pytest.param((HI + END).replace("\n", "\r"), id="carriage returns"),
        pytest.param((HI + END).replace("data: ", "data:"), id="no space"),
        pytest.param("\ufeff" + HI + END, id="byte order mark"),
        pytest.param(f": ping\n\n{HI}: ping\n\n: pong\n{END}", id="comments"),
        pytest.param(f"data: {LINES}\n\n{END}", id="data of several lines"),
        pytest.param(f"retry: 3000\n\n{HI}{END}", id="time to wait"),
        pytest.param(f"event: ping\n\n{HI}event: ping\ndata:\n\n{END}", id="events without data"),
        pytest.param(f"id: 1\n{HI}\n: ping\n\nid: 2\n{END}", id="identifiers, and blank lines between"),
        pytest.param(HI + END.partition("data: [DONE]")[0], id="no end"),
        pytest.param((HI + END.partition("data: [DONE]")[0]).rstrip(), id="no end, no last line end"),
        pytest.param(HI + END + "data: nonsense\n\n", id="more behind the end"),
        pytest.param(event({**chunk(), "choices": None}) + HI + END, id="no choices"),
        pytest.param(event({**chunk(), "choices": [{"index": 0, "delta": None}]}) + HI + END, id="no delta"),
        pytest.param(event({"id": "1"}) + HI + END, id="an empty chunk"),
        pytest.param(event({**chunk("Hi"), "usage": "5"}) + END, id="usage that is none"),
        pytest.param(event({**chunk("Hi"), "usage": {"prompt_tokens": 5, "cost": "?"}}) + END, id="half a usage"),
    ],
)
async def test_events_in_any_form(server: FaultyEndpoint, body: str) -> None:
    """However the events are written, the reply is read whole."""
    server.behaviour = streaming(body)
    text, deltas = await collect(EndpointModel(server.url, "tiny", retries=0))
    assert text == "Hi"
    assert [delta.finish_reason for delta in deltas if delta.finish_reason] == ["stop"]


async def test_events_in_any_pieces() -> None:
    """Wherever the network cuts a stream, the same chunks are read from it."""
    first = json.dumps(chunk("é\u2028→"), ensure_ascii=False)
    whole = f"\ufeff: ping\r\ndata: {first}\r\n\r\n{HI}{END}".encode()

    async def cut(size: int) -> AsyncIterator[bytes]:
        for start in range(0, len(whole), size):
            yield whole[start : start + size]

    expected = [chunk("é\u2028→"), chunk("Hi"), chunk(finish="stop")]
    for size in (1, 2, 3, 7, len(whole)):
        assert [each async for each in chunks(cut(size))] == expected


def streaming(body: str, kind: str = "text/event-stream") -> Behaviour:
    """A server that sends these very bytes."""
    return lambda exchange: exchange.answer(200, body, kind=kind)


def delta(**content: object) -> str:
    """An event with these contents."""
    return event({**chunk(), "choices": [{"index": 0, "delta": content, "finish_reason": None}]})


@pytest.mark.parametrize(
    ("body", "text", "reasoning", "reason"),
    [
        (event(chunk("Hi")) + event(chunk(finish="length")), "Hi", "", "length"),
        (event(chunk("Hi")) + event(chunk(finish="max_tokens")), "Hi", "", "length"),
        (event(chunk("Hi")) + event(chunk(finish="eos_token")), "Hi", "", "stop"),
        (event(chunk("Hi", finish="")) + END, "Hi", "", "stop"),
        (delta(reasoning_content="Hm") + HI + END, "Hi", "Hm", "stop"),
        (delta(reasoning=None, content=None) + HI + END, "Hi", "", "stop"),
        (delta(content=[{"type": "text", "text": "Hi"}]) + END, "Hi", "", "stop"),
        (
            delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}]) + HI + END,
            "Hi", "Hm", "stop",
        ),
    ],
)  # fmt: skip
async def test_contents_in_any_form(server: FaultyEndpoint, body: str, text: str, reasoning: str, reason: str) -> None:
    """Text, reasoning and the reason of the end are found under each server's names for them."""
    server.behaviour = streaming(body)
    read, deltas = await collect(EndpointModel(server.url, "tiny", retries=0))
    assert (read, "".join(each.reasoning for each in deltas)) == (text, reasoning)
    assert [each.finish_reason for each in deltas if each.finish_reason] == [reason]


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [
        (HI + event({"error": "out of memory"}), ModelReplyError, "out of memory"),
        (HI + event({"object": "error", "message": "out of memory"}), ModelReplyError, "out of memory"),
        (HI + event({"error": {"code": 5}}), ModelReplyError, '"code": 5'),
        (event({"error": {"message": "maximum context length is 8 tokens"}}), ContextOverflow, "too long"),
        ('{"error": {"message": "no credit"}}', ModelReplyError, "no credit"),
        (HI + event(chunk(finish="error")), ModelReplyError, "says that it failed"),
        (HI + "data: {nonsense", ModelReplyError, "broke off"),
        (delta(refusal="I can't.") + END, ModelReplyError, r"the model refuses: I can't\."),
        (delta(tool_calls=[{"index": 0}]) + END, ModelReplyError, "turn tool calling off"),
    ],
)
async def test_errors_in_a_stream(server: FaultyEndpoint, body: str, kind: type[ModelError], says: str) -> None:
    """What a server reports in the place of a reply is in the error."""
    server.behaviour = streaming(body)
    with pytest.raises(kind, match=says):
        await collect(EndpointModel(server.url, "tiny", retries=0))


OVERFLOWS: dict[str, tuple[int, object, int | None, int | None]] = {
    "vLLM": (400, "This model's maximum context length is 4096 tokens. However, you requested 1024 output tokens and "
        "your prompt contains at least 3073 input tokens, for a total of at least 4097 tokens.", 3073, 4096),
    "vLLM, an older one": (400, "'max_tokens' or 'max_completion_tokens' is too large: 1024. This model's maximum "
        "context length is 4096 tokens and your request has 3500 input tokens (1024 > 4096 - 3500).", 3500, 4096),
    "vLLM, the prompt alone": (400, "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
        5000, 4096),
    "llama.cpp, an older one": (500, "context shift is disabled, the request exceeds the available context size. try "
        "increasing the context size or enable context shift", None, None),
    "Ollama": (400, "the input length exceeds the context length", None, None),
    "Ollama, its runner": (500, "input length exceeds maximum context length", None, None),
    "TGI": (422, {"error": "Input validation error: `inputs` must have less than 1024 tokens. Given: 1400"},
        1400, 1024),
    "LM Studio": (400, {"error": "Trying to keep the first 5095 tokens when context the overflows. However, the model "
        "is loaded with context length of only 4096 tokens, which is not enough."}, 5095, 4096),
    "LM Studio, in the middle": (400, {"error": "Reached context length of 4096 tokens with model (arch: qwen2) that "
        "does not currently support mid-generation context overflow."}, None, 4096),
    "OpenAI": (400, "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 300010 "
        "tokens.", 300010, 272000),
    "OpenAI, by its code": (400, {"error": {"message": "Bad request", "code": "context_length_exceeded"}}, None, None),
    "Azure": (400, "This model's maximum context length is 8192 tokens, however you requested 10000 tokens (8976 in "
        "your prompt; 1024 for the completion). Please reduce your prompt; or completion length.", 10000, 8192),
    "Anthropic": (400, "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000", None, None),
    "Gemini": (400, [{"error": {"message": "The input token count (1200000) exceeds the maximum number of tokens "
        "allowed (1048576)."}}], 1200000, 1048576),
    "Mistral": (400, "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context "
        "length", 40000, 32768),
    "OpenRouter": (400, "This endpoint's maximum context length is 32768 tokens. However, you requested about 40000 "
        "tokens (39000 of text input, 1000 in the output).", 40000, 32768),
    "xAI": (400, {"error": "This model's maximum prompt length is 131072 but the request contains 140000 tokens."},
        140000, 131072),
    "SGLang": (400, "The input (5000 tokens) is longer than the model's context length (4096 tokens).", 5000, 4096),
}  # fmt: skip


@pytest.mark.parametrize("who", OVERFLOWS)
async def test_overflows_in_any_words(server: FaultyEndpoint, who: str) -> None:
    """Each server's words for a conversation that is too long are known, numbers included; nothing is asked again."""
    status, body, needed, allowed = OVERFLOWS[who]
    server.behaviour = lambda exchange: exchange.answer(
        status, {"error": {"message": body}} if isinstance(body, str) else body
    )
    with pytest.raises(ContextOverflow) as overflow:
        await collect(EndpointModel(server.url, "tiny", retries=0))
    assert (overflow.value.needed, overflow.value.allowed) == (needed, allowed)
    assert len(server.requests) == 1


def refusing(status: int, message: str, **headers: str) -> Behaviour:
    """A server that always refuses so."""
    return lambda exchange: exchange.answer(status, {"error": {"message": message}}, **headers)


@pytest.mark.parametrize(
    ("behaviour", "says"),
    [
        (refusing(400, "The model `tiny-cat` does not exist"), r"has no model 'tiny-cat'; did you mean 'tiny-chat'\?"),
        (refusing(422, "Unknown model tiny-cat"), r"has no model 'tiny-cat'; did you mean 'tiny-chat'\?"),
        (refusing(402, "pay first"), "the account has no credit left"),
        (refusing(429, "wait", retry_after="300"), "wait 300 seconds, or ask for less"),
        (refusing(503, "wait", retry_after="Wed, 21 Oct 2037 07:28:00 GMT"), "wait until Wed, 21 Oct 2037"),
        (refusing(529, "overloaded"), "the server is busy"),
    ],
)
async def test_refusals(server: FaultyEndpoint, behaviour: Behaviour, says: str) -> None:
    """A refusal says what to do."""
    server.models, server.behaviour = ("tiny-chat", "large"), behaviour
    with pytest.raises(ModelUnavailable, match=says):
        await collect(EndpointModel(server.url, "tiny-cat", retries=0))


async def test_a_date_to_wait_for(server: FaultyEndpoint) -> None:
    """``Retry-After`` may be a date; the request is repeated then."""

    def behaviour(exchange: Exchange) -> None:
        if len(server.requests) == 1:
            exchange.answer(429, {}, retry_after=formatdate(time() + 1, usegmt=True))
        else:
            exchange.reply("Hi")

    server.behaviour = behaviour
    assert (await collect(EndpointModel(server.url, "tiny", retries=1)))[0] == "Hi"


@pytest.mark.parametrize("status", [408, 500, 502, 503, 529])
async def test_a_status_that_passes(server: FaultyEndpoint, status: int) -> None:
    """A server that has recovered is asked again, also where a proxy answered for it."""

    def behaviour(exchange: Exchange) -> None:
        if len(server.requests) == 1:
            exchange.answer(status, "<html>", kind="text/html", retry_after="0.1")
        else:
            exchange.reply("Hi")

    server.behaviour = behaviour
    assert (await collect(EndpointModel(server.url, "tiny", retries=1)))[0] == "Hi"


def hang_up(exchange: Exchange) -> None:
    """Reset the connection, without an answer."""
    connection = exchange._handler.connection
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    raise ConnectionResetError


async def test_a_connection_that_the_server_dropped(server: FaultyEndpoint) -> None:
    """A connection that is closed before the answer, as idle ones are, is tried once more, also without retries."""

    def once(exchange: Exchange) -> None:
        (hang_up if len(server.requests) == 1 else Exchange.reply)(
            exchange, *(() if len(server.requests) == 1 else ("Hi",))
        )

    server.behaviour = once
    assert (await collect(EndpointModel(server.url, "tiny", retries=0)))[0] == "Hi"
    server.behaviour = hang_up
    server.requests.clear()
    with pytest.raises(ModelUnavailable, match=r"/v1 closed the connection before it answered: .*see the server's log"):
        await collect(EndpointModel(server.url, "tiny", retries=0))
    assert len(server.requests) == 2


async def test_a_refusal_that_breaks_off(server: FaultyEndpoint) -> None:
    """Where the connection breaks inside of a refusal, its status still says what is wrong."""

    def behaviour(exchange: Exchange) -> None:
        handler = exchange._handler
        handler.send_response(404)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b'{"error": ')
        handler.wfile.flush()
        hang_up(exchange)

    server.models, server.behaviour = ("tiny-chat",), behaviour
    with pytest.raises(ModelUnavailable, match=r"has no model 'tiny-cat'; did you mean 'tiny-chat'\?"):
        await collect(EndpointModel(server.url, "tiny-cat", retries=0))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
async def test_no_secret_is_told(server: FaultyEndpoint, caplog: pytest.LogCaptureFixture, status: int) -> None:
    """A key that the server repeats, or that stands in a header or in the address, is in no message and no log."""
    server.behaviour = refusing(status, f"Incorrect API key provided: {KEY}, {KEY[::-1]}, {KEY.upper()}")
    address = server.url.replace("//", f"//user:{KEY.upper()}@")
    model = EndpointModel(address, api_key=KEY, headers={"X-Api-Key": f"Key {KEY[::-1]}"}, retries=0)
    with caplog.at_level(logging.DEBUG), pytest.raises(ModelUnavailable) as refusal:
        await collect(model)
    told = f"{refusal.value}{model!r}{model.name}{model.base_url}{caplog.text}"
    assert not any(secret in told for secret in (KEY, KEY[::-1], KEY.upper()))
    sent = server.requests[0].headers
    assert sent["authorization"] == f"Basic {b64encode(f'user:{KEY.upper()}'.encode()).decode()}"
    assert sent["x-api-key"] == f"Key {KEY[::-1]}"


def test_openais_key_goes_to_openai(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenAI's own variable is read for OpenAI's own address, and for no other."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert EndpointModel("https://api.openai.com/v1", "gpt")._key == KEY
    assert EndpointModel("https://api.example.org/v1", "gpt")._key is None
    assert EndpointModel("http://api.openai.com/v1", "gpt")._key is None, "not without encryption"


@pytest.mark.parametrize(
    "change",
    [
        lambda url: f"{url}/",
        lambda url: f"{url}/chat/completions/",
        lambda url: f"{url}/completions",
        lambda url: f"{url}/models",
    ],
    ids=["slash", "chat", "completions", "models"],
)
async def test_addresses(server: FaultyEndpoint, change: Callable[[str], str]) -> None:
    """The address of one of the API's own paths is understood, too."""
    server.behaviour = lambda exchange: exchange.reply("Hi")
    assert (await collect(EndpointModel(change(server.url), "tiny", retries=0)))[0] == "Hi"


async def test_an_address_without_its_version(server: FaultyEndpoint) -> None:
    """Where only the host is named and has nothing there, the error names the likely address."""
    with pytest.raises(ModelUnavailable, match=rf"try {server.url} "):
        await collect(EndpointModel(server.url.removesuffix("/v1"), "tiny", retries=0))


def test_a_query_goes_with_every_request() -> None:
    """Azure wants its version in the query, which is no part of the path."""
    model = EndpointModel("https://host.example/openai?api-version=2026-01-01", "tiny")
    assert (model.base_url, model._query) == ("https://host.example/openai", {"api-version": "2026-01-01"})
    assert EndpointModel("https://host.example/models", "tiny").base_url.endswith("/models"), "Azure's other address"


async def test_most_requests_at_a_time(server: FaultyEndpoint) -> None:
    """With a limit, the next request waits until a reply has ended; a cancelled one makes room."""
    at_once: list[int] = []
    running = 0

    def behaviour(exchange: Exchange) -> None:
        nonlocal running
        running += 1
        at_once.append(running)
        exchange.start()
        exchange.send(chunk("Hi"))
        exchange.send(chunk(finish="stop"))
        running -= 1
        exchange.send("[DONE]")

    server.behaviour = behaviour
    model = EndpointModel(server.url, "tiny", concurrency=1, retries=0)

    async def ask() -> str:
        return "".join([each.text async for each in model.stream(HELLO, Sampling())])

    waiting = [asyncio.create_task(ask()) for _ in range(6)]
    waiting[3].cancel()
    replies: list[Any] = await asyncio.gather(*waiting, return_exceptions=True)
    await model.aclose()
    assert [reply for reply in replies if isinstance(reply, str)] == ["Hi"] * 5
    assert max(at_once) == 1


async def test_usage_that_comes_with_every_chunk(server: FaultyEndpoint) -> None:
    """The last usage counts."""
    server.behaviour = streaming(event({**chunk("H"), "usage": {**USAGE, "completion_tokens": 1}}) + HI + END)
    _, deltas = await collect(EndpointModel(server.url, "tiny", retries=0))
    assert [each.usage.completion_tokens for each in deltas if each.usage] == [1]
