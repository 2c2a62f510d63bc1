"""`EndpointModel` against a server that misbehaves in every way, and against llama.cpp's own server."""

from __future__ import annotations

import inspect
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any, cast

import httpx2
import openai
import pytest

from codeact_tools.dialects import DIALECTS
from codeact_tools.errors import ConfigurationError, ContextOverflow, ModelError, ModelReplyError, ModelUnavailable
from codeact_tools.events import Usage
from codeact_tools.models.base import Delta, Message, Sampling
from codeact_tools.models.embedded import _library as embedded_library
from codeact_tools.models.embedded import available_cpus
from codeact_tools.models.endpoint import EndpointModel, endpoint_from_environment
from codeact_tools.models.weights import DEFAULT_WEIGHTS, locate
from tests.faulty_endpoint import Behaviour, Exchange, FaultyEndpoint, chunk, dribble, faulty_endpoint

HELLO = [Message("user", "Hello")]
pytestmark = pytest.mark.usefixtures("no_endpoint_in_the_environment")


@pytest.fixture
def server() -> Iterator[FaultyEndpoint]:
    """A server on the loopback interface."""
    with faulty_endpoint() as endpoint:
        yield endpoint


@pytest.fixture
async def model(server: FaultyEndpoint) -> AsyncIterator[EndpointModel]:
    """A model of that server, with one quick retry."""
    model = EndpointModel(server.url, "tiny", retries=1, read_timeout=60)
    yield model
    await model.aclose()


async def collect(model: EndpointModel, sampling: Sampling | None = None) -> tuple[str, list[Delta]]:
    """Return the whole reply, and its pieces."""
    deltas = [delta async for delta in model.stream(HELLO, sampling or Sampling())]
    return "".join(delta.text for delta in deltas), deltas


async def test_a_reply_streams(server: FaultyEndpoint, model: EndpointModel) -> None:
    """Text comes in pieces, the end with its reason, the usage with the tokens that were cached."""
    server.behaviour = lambda exchange: exchange.reply("Good ", "day")
    text, deltas = await collect(model)
    assert text == "Good day"
    assert [delta.finish_reason for delta in deltas if delta.finish_reason] == ["stop"]
    assert deltas[-1].usage == Usage(prompt_tokens=20, completion_tokens=4, cached_tokens=16)


async def test_only_the_oldest_fields_are_sent(server: FaultyEndpoint, model: EndpointModel) -> None:
    """Strict servers refuse a request with an unknown field, so there is none."""
    server.behaviour = lambda exchange: exchange.reply("Hi")
    await collect(model, Sampling(stop=("</execute>",), seed=7, max_tokens=5))
    body = server.requests[0].body
    assert body.pop("stream_options") == {"include_usage": True}
    assert body == {
        "model": "tiny",
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": True,
        "temperature": 0.0,
        "max_tokens": 5,
        "stop": ["</execute>"],
        "seed": 7,
    }


@pytest.mark.parametrize("pieces", [("a</exec", "ute>"), ("a</execute>",), ("a</execute>", "and on", "and on")])
async def test_a_stop_string_ends_the_reply(
    server: FaultyEndpoint, model: EndpointModel, pieces: tuple[str, ...]
) -> None:
    """Whether the server keeps the stop string or ignores it, the reply ends with it."""
    server.behaviour = lambda exchange: exchange.reply(*pieces)
    text, deltas = await collect(model, Sampling(stop=("</execute>",)))
    assert text == "a</execute>"
    assert deltas[-1].finish_reason == "stop" or deltas[-1].usage is not None


async def test_usage_comes_also_with_a_kept_stop_string(server: FaultyEndpoint, model: EndpointModel) -> None:
    """A server that keeps the stop string is heard out, so the usage is known."""
    server.behaviour = lambda exchange: exchange.reply("a</execute>")
    _, deltas = await collect(model, Sampling(stop=("</execute>",)))
    assert deltas[-1].usage is not None


async def test_closing_the_iterator_hangs_up(server: FaultyEndpoint, model: EndpointModel) -> None:
    """A reply that nobody wants any more is not generated to its end."""
    server.behaviour = dribble
    async with aclosing(cast("Any", model.stream(HELLO, Sampling()))) as stream:
        async for delta in stream:
            assert delta.text == "word0 "
            break
    assert server.disconnected.wait(5)


async def test_an_ignored_stop_string_hangs_up(server: FaultyEndpoint, model: EndpointModel) -> None:
    """A server that goes on after the stop string is cut off."""
    server.behaviour = dribble
    text, _ = await collect(model, Sampling(stop=("word3",)))
    assert text == "word0 word1 word2 word3"
    assert server.disconnected.wait(5)


async def test_reasoning_is_kept_apart(server: FaultyEndpoint, model: EndpointModel) -> None:
    """What a reasoning model thinks is no part of its reply."""

    def behaviour(exchange: Exchange) -> None:
        exchange.start()
        exchange.send(chunk(reasoning_content="Hm. "))
        exchange.send(chunk(reasoning="Well. "))
        exchange.send(chunk("Yes", finish="stop"))

    server.behaviour = behaviour
    text, deltas = await collect(model)
    assert text == "Yes"
    assert "".join(delta.reasoning for delta in deltas) == "Hm. Well. "


@pytest.mark.parametrize("field", ["stream_options", "seed", "stop", "temperature", "max_tokens"])
async def test_a_refused_field_is_left_out(server: FaultyEndpoint, model: EndpointModel, field: str) -> None:
    """A field that the server names in a refusal is left out, at once and from then on."""

    def behaviour(exchange: Exchange) -> None:
        if field in exchange.body:
            exchange.answer(422, {"error": {"message": f"Unexpected fields: {{'{field}'}}"}})
        else:
            exchange.reply("Hi")

    server.behaviour = behaviour
    sampling = Sampling(seed=1, stop=("x",))
    assert (await collect(model, sampling))[0] == "Hi"
    assert (await collect(model, sampling))[0] == "Hi"
    assert [field in exchange.body for exchange in server.requests] == [True, False, False]
    assert ("max_completion_tokens" in server.requests[-1].body) == (field == "max_tokens")


def answering(status: int, body: object, **options: str) -> Behaviour:
    """A server that always answers so."""
    return lambda exchange: exchange.answer(status, body, **options)


def streaming(*events: object) -> Behaviour:
    """A server that sends these events and hangs up."""

    def behaviour(exchange: Exchange) -> None:
        exchange.start()
        for event in events:
            exchange.send(event)

    return behaviour


def error(message: str, **extra: object) -> dict[str, object]:
    """An error as OpenAI words it."""
    return {"error": {"message": message, **extra}}


def silence(_exchange: Exchange) -> None:
    """Answer nothing for longer than the client waits."""
    time.sleep(3)


def stall(exchange: Exchange) -> None:
    """Start a reply and never go on."""
    exchange.start()
    exchange.send(chunk("Wait"))
    time.sleep(3)


@pytest.mark.parametrize(
    ("behaviour", "kind", "says"),
    [
        pytest.param(answering(401, error("no")), ModelUnavailable, "CODEACT_TOOLS_API_KEY", id="bad key"),
        pytest.param(answering(403, error("no")), ModelUnavailable, "not allowed", id="forbidden"),
        pytest.param(answering(404, "<html>", kind="text/html"), ModelUnavailable, "ends in /v1", id="wrong path"),
        pytest.param(answering(405, error("no")), ModelUnavailable, "ends in /v1", id="wrong method"),
        pytest.param(answering(200, "<html>", kind="text/html"), ModelUnavailable, "a web page", id="a web page"),
        pytest.param(answering(200, {"choices": []}), ModelReplyError, "application/json", id="no stream"),
        pytest.param(answering(400, error("bad", code=1)), ModelUnavailable, "refuses", id="refused"),
        pytest.param(
            answering(400, error("This model's maximum context length is 4096 tokens")),
            ContextOverflow,
            "too long",
            id="context overflow, OpenAI and vLLM",
        ),
        pytest.param(
            answering(400, error("request (9 tokens) exceeds the available context size (8 tokens)")),
            ContextOverflow,
            "too long",
            id="context overflow, llama.cpp",
        ),
        pytest.param(answering(413, error("payload")), ContextOverflow, "too long", id="too large"),
        pytest.param(
            answering(429, error("slow down"), retry_after="0.1"), ModelUnavailable, "rate limit", id="rate limit"
        ),
        pytest.param(answering(500, error("boom")), ModelUnavailable, "see its log", id="server error"),
        pytest.param(answering(503, "loading", kind="text/plain"), ModelUnavailable, "503", id="still loading"),
        pytest.param(streaming(), ModelReplyError, "broke off", id="nothing at all"),
        pytest.param(streaming(chunk("Hal")), ModelReplyError, "broke off", id="broke off"),
        pytest.param(streaming(chunk("Hal"), "{nonsense"), ModelReplyError, "damaged", id="invalid JSON"),
        pytest.param(streaming(chunk("Hal"), error("GPU is gone")), ModelReplyError, "GPU is gone", id="error event"),
        pytest.param(streaming(chunk(finish="stop")), ModelReplyError, "empty", id="empty reply"),
        pytest.param(streaming(chunk(finish="content_filter")), ModelReplyError, "content filter", id="filtered"),
        pytest.param(
            streaming(chunk(reasoning="Hm"), chunk(finish="length")), ModelReplyError, "max_tokens", id="reasoning only"
        ),
        pytest.param(silence, ModelUnavailable, "in time", id="silence"),
        pytest.param(stall, ModelUnavailable, "in time", id="stalled"),
    ],
)
async def test_faults(server: FaultyEndpoint, behaviour: Behaviour, kind: type[ModelError], says: str) -> None:
    """Every fault is an error of this library that says what is wrong."""
    model = EndpointModel(server.url, "tiny", retries=0, read_timeout=0.5 if behaviour in (silence, stall) else 60)
    server.behaviour = behaviour
    with pytest.raises(kind, match=says):
        await collect(model)
    await model.aclose()


async def test_a_rate_limit_is_waited_out(server: FaultyEndpoint, model: EndpointModel) -> None:
    """``Retry-After`` is respected, and the request repeated."""

    def behaviour(exchange: Exchange) -> None:
        if len(server.requests) == 1:
            exchange.answer(429, error("slow down"), retry_after="1")
        else:
            exchange.reply("Hi")

    server.behaviour = behaviour
    start = time.monotonic()
    assert (await collect(model))[0] == "Hi"
    assert time.monotonic() - start > 0.9
    assert len(server.requests) == 2


async def test_an_unknown_model_is_named_with_what_there_is(server: FaultyEndpoint) -> None:
    """The message lists the server's models and the nearest name."""
    server.models = ("tiny-chat", "large-chat")
    server.behaviour = answering(404, error("model 'tiny-cat' not found"))
    with pytest.raises(ModelUnavailable, match=r"did you mean 'tiny-chat'\? It has: 'tiny-chat', 'large-chat'"):
        await collect(EndpointModel(server.url, "tiny-cat", retries=0))


async def test_the_only_model_needs_no_name(server: FaultyEndpoint) -> None:
    """A server with one model is asked for it; one with several wants a choice."""
    server.behaviour = lambda exchange: exchange.reply("Hi")
    model = EndpointModel(server.url)
    await collect(model)
    assert (model.name, server.requests[0].body["model"]) == ("tiny", "tiny")
    server.models = ("a", "b")
    with pytest.raises(ConfigurationError, match="2 models; name one with model=: 'a', 'b'"):
        await collect(EndpointModel(server.url))


async def test_a_refused_connection() -> None:
    """A server that does not run is told from one that answers wrongly."""
    with pytest.raises(ModelUnavailable, match=r"cannot reach http://127.0.0.1:9/v1.*is the server running"):
        await collect(EndpointModel("http://127.0.0.1:9/v1", "tiny", retries=0))


async def test_headers_and_key_are_sent(server: FaultyEndpoint) -> None:
    """Custom headers reach the server, and so does the key."""
    server.behaviour = lambda exchange: exchange.reply("Hi")
    await collect(EndpointModel(server.url, "tiny", api_key="sesame", headers={"X-Team": "blue"}))
    sent = server.requests[0].headers
    assert (sent["authorization"], sent["x-team"]) == ("Bearer sesame", "blue")


def test_openais_key_stays_with_openai(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenAI's key is no fall-back for a server that was named for codeact_tools."""
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    assert endpoint_from_environment() is None
    monkeypatch.setenv("CODEACT_TOOLS_MODEL", "tiny")
    assert endpoint_from_environment() == ("https://api.openai.com/v1", "tiny", "secret")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://proxy/v1")
    assert endpoint_from_environment() == ("http://proxy/v1", "tiny", "secret")
    monkeypatch.setenv("CODEACT_TOOLS_BASE_URL", "http://localhost:1/v1")
    assert endpoint_from_environment() == ("http://localhost:1/v1", "tiny", None)


@pytest.mark.parametrize("url", ["localhost:8000/v1", "ftp://host/v1", "", "http://"])
def test_what_is_no_address(url: str) -> None:
    """An address without a scheme is refused before anything is sent."""
    with pytest.raises(ConfigurationError, match="is no HTTP address"):
        EndpointModel(url, "tiny")


def _instance(kind: type[Exception]) -> Exception:
    """Make an instance of any exception of the client, as the client would."""
    request = httpx2.Request("POST", "http://host/v1/chat/completions")
    response = httpx2.Response(getattr(kind, "status_code", 418), request=request)
    known: dict[str, Any] = {
        "message": "it failed", "request": request, "response": response, "body": None, "completion": None,
    }  # fmt: skip
    parameters = inspect.signature(kind.__init__).parameters
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters.values()):
        return kind("it failed")
    try:
        return kind(**{name: known[name] for name in parameters if name in known})
    except (TypeError, AttributeError):  # the classes that describe a reply need a whole one
        return kind.__new__(kind)


CLIENT_ERRORS = [
    kind
    for module in (openai, httpx2)
    for kind in list(vars(module).values())
    if isinstance(kind, type) and issubclass(kind, Exception)
]


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("kind", CLIENT_ERRORS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_no_error_of_the_client_escapes(kind: type[Exception], streaming: bool) -> None:
    """Every exception class of OpenAI's client and of its HTTP library becomes a `ModelError` with a message."""
    mapped = EndpointModel("http://host/v1", "tiny")._mapped(_instance(kind), streaming=streaming)
    assert isinstance(mapped, ModelError)
    assert len(str(mapped)) > 20


@pytest.fixture(scope="module")
def llama_server() -> Iterator[str]:
    """llama.cpp's own HTTP server on the loopback interface, with the embedded model's weights."""
    if (weights := locate(DEFAULT_WEIGHTS)) is None:
        pytest.skip("the embedded model's weights are not here: codeact-tools model fetch")
    pytest.importorskip("xllamacpp")
    library = embedded_library()
    parameters = library.CommonParams()
    parameters.model.path = str(weights)
    parameters.n_ctx, parameters.n_parallel, parameters.verbosity, parameters.warmup = 1024, 1, -1, False
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = available_cpus()
    parameters.api_keys = ["sesame"]
    server = library.Server(parameters)
    yield f"{server.listening_address}/v1"
    del server


@pytest.mark.model
@pytest.mark.timeout(1200)
async def test_two_turns_with_a_real_server(llama_server: str) -> None:
    """A real server streams an action up to its stop string, then reads only what is new of the conversation."""
    chat = DIALECTS["chat"]
    model = EndpointModel(llama_server, api_key="sesame")
    messages = [
        Message("system", f"{chat.preamble} {chat.acting} {chat.answering}"),
        Message("user", "What is 1234 * 5678? Compute it with Python."),
    ]
    sampling = Sampling(stop=chat.stop, max_tokens=40, seed=1)
    deltas = [delta async for delta in model.stream(messages, sampling)]
    reply = chat.parse("".join(delta.text for delta in deltas))
    assert "1234" in reply.code
    messages += [Message("assistant", reply.text), Message("user", chat.observe("7006652\n"))]
    deltas = [delta async for delta in model.stream(messages, sampling)]
    usage = next(delta.usage for delta in deltas if delta.usage)
    assert usage.cached_tokens > 0.7 * usage.prompt_tokens
    assert chat.parse("".join(delta.text for delta in deltas)).answer
    await model.aclose()


@pytest.mark.model
@pytest.mark.timeout(1200)
async def test_a_real_server_refuses(llama_server: str) -> None:
    """A real server's refusals are told apart: a wrong key, a wrong path, and a conversation that is too long."""
    with pytest.raises(ModelUnavailable, match="the key is missing or wrong"):
        await collect(EndpointModel(llama_server, "any"))
    with pytest.raises(ModelUnavailable, match="nothing is at this address"):
        await collect(EndpointModel(f"{llama_server}/v2", "any", api_key="sesame"))
    model = EndpointModel(llama_server, api_key="sesame")
    with pytest.raises(ContextOverflow, match="too long"):
        [_ async for _ in model.stream([Message("user", "word " * 2000)], Sampling())]
