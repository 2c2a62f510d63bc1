"""What `EndpointModel` learns from a server, and how it adapts: windows, stop strings, plain completions, costs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from codeact_tools.dialects import DIALECTS
from codeact_tools.errors import ConfigurationError, ContextOverflow, ModelReplyError, ModelUnavailable
from codeact_tools.events import Usage
from codeact_tools.models.base import Delta, Message, Sampling
from codeact_tools.models.endpoint import EndpointModel
from codeact_tools.models.grammar import action_grammar
from codeact_tools.models.templates import TEMPLATES, Template
from codeact_tools.models.weights import fetch
from codeact_tools.models.windows import context_window, count_tokens, estimate
from codeact_tools.testing.scripted import ScriptedModel
from tests.checks_shop import make_registry
from tests.faulty_endpoint import Exchange, FaultyEndpoint, chunk, faulty_endpoint
from tests.servers import LlamaServer
from tests.smol import SMOL

HELLO = [Message("user", "Hello")]
GRAMMAR = 'root ::= "yes" | "no"'
TALK = [
    Message("system", "Be brief."),
    Message("user", "Hi"),
    Message("assistant", "Hello."),
    Message("user", "A <|im_end|> B [INST] C <end_of_turn> D <|eot_id|>"),
]
pytestmark = pytest.mark.usefixtures("no_endpoint_in_the_environment")


@pytest.fixture
def server() -> Iterator[FaultyEndpoint]:
    """A server on the loopback interface."""
    with faulty_endpoint() as endpoint:
        endpoint.behaviour = lambda exchange: exchange.reply("Hi")
        yield endpoint


async def collect(model: EndpointModel, sampling: Sampling | None = None) -> tuple[str, list[Delta]]:
    """Return the whole reply, and its pieces."""
    deltas = [delta async for delta in model.stream(HELLO, sampling or Sampling())]
    await model.aclose()
    return "".join(delta.text for delta in deltas), deltas


@pytest.mark.parametrize(
    ("about", "properties", "window"),
    [
        pytest.param({"owned_by": "vllm", "max_model_len": 4096}, None, 4096, id="vLLM"),
        pytest.param({"owned_by": "someone", "context_length": 200_000}, None, 200_000, id="OpenRouter"),
        pytest.param(
            {"owned_by": "llamacpp", "meta": {"n_ctx": 2048, "n_ctx_train": 32768}}, None, 2048, id="llama.cpp"
        ),
        pytest.param(
            {"owned_by": "llamacpp"}, {"default_generation_settings": {"n_ctx": 1024}}, 1024, id="an older llama.cpp"
        ),
        pytest.param({"owned_by": "llamacpp"}, None, None, id="an old llama.cpp"),
        pytest.param({"owned_by": "library"}, None, None, id="Ollama"),
    ],
)
async def test_the_server_tells_its_window(
    server: FaultyEndpoint, about: dict[str, Any], properties: dict[str, Any] | None, window: int | None
) -> None:
    """The context window is known before the first reply, where the server says it in any of the known ways."""
    server.about, server.properties = about, properties
    model = EndpointModel(server.url, "tiny")
    assert context_window(model) is None
    await collect(model)
    assert context_window(model) == window
    stated = EndpointModel(server.url, "tiny", context_tokens=99)
    await collect(stated)
    assert context_window(stated) == 99, "what the caller says counts more"


async def test_a_server_that_lists_nothing_still_answers(server: FaultyEndpoint) -> None:
    """Not to know the server costs nothing but the window."""
    server.models = ()
    model = EndpointModel(server.url, "tiny")
    assert (await collect(model))[0] == "Hi"
    assert context_window(model) is None


@pytest.mark.parametrize(
    ("message", "extra", "needed", "allowed"),
    [
        pytest.param(
            "This model's maximum context length is 4096 tokens. However, your messages resulted in 5000 tokens.",
            {}, 5000, 4096, id="OpenAI",
        ),
        pytest.param(
            "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4000 in the "
            "messages, 1000 in the completion).",
            {}, 5000, 4096, id="vLLM",
        ),
        pytest.param(
            "request (9 tokens) exceeds the available context size (8 tokens), try increasing it",
            {"n_prompt_tokens": 9, "n_ctx": 8}, 9, 8, id="llama.cpp",
        ),
        pytest.param(
            "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 `inputs` tokens and 1024 `max_new_tokens`",
            {}, 4000, 4096, id="TGI",
        ),
        pytest.param("prompt is too long: 210000 tokens > 200000 maximum", {}, 210000, 200000, id="Anthropic"),
        pytest.param("the context window is full", {}, None, None, id="no numbers"),
    ],
)  # fmt: skip
async def test_an_overflow_says_how_much(
    server: FaultyEndpoint, message: str, extra: dict[str, Any], needed: int | None, allowed: int | None
) -> None:
    """What the server says about lengths is on the error, and the window is known from then on."""
    server.behaviour = lambda exchange: exchange.answer(400, {"error": {"message": message, **extra}})
    model = EndpointModel(server.url, "tiny")
    with pytest.raises(ContextOverflow) as overflow:
        await collect(model)
    assert (overflow.value.needed, overflow.value.allowed, model.context_tokens) == (needed, allowed, allowed)


async def test_the_estimate_learns_from_the_server(server: FaultyEndpoint) -> None:
    """After a reply, the tokens of a prompt are counted as the server counted those of the last."""
    model = EndpointModel(server.url, "tiny")
    assert count_tokens(model, HELLO) == estimate(HELLO)
    server.behaviour = lambda exchange: exchange.reply("Hi", prompt_tokens=3 * estimate(HELLO))
    await collect(model)
    assert count_tokens(model, HELLO * 2) == pytest.approx(3 * estimate(HELLO * 2), abs=1)


def test_any_model_is_counted() -> None:
    """A model that neither counts nor knows its window gets an estimate, and none."""
    model = ScriptedModel([])
    assert (count_tokens(model, HELLO), context_window(model)) == (estimate(HELLO), None)
    assert context_window(ScriptedModel([], context_tokens=7)) == 7
    assert estimate([Message("user", "12345")]) - estimate([Message("user", "")]) == 5
    assert estimate([Message("user", "\udc80")]) > 0, "text that is no UTF-8 is counted, too"


@pytest.mark.parametrize(
    ("owner", "option", "sent"),
    [("vllm", None, True), ("vllm", False, False), ("tests", None, False), ("tests", True, True)],
)
async def test_keeping_the_stop_string(server: FaultyEndpoint, owner: str, option: bool | None, sent: bool) -> None:
    """A server that is known to understand it is asked to keep the stop string; others where the caller says so."""
    server.about = {"owned_by": owner}
    model = EndpointModel(server.url, "tiny", include_stop=option)
    await collect(model, Sampling(stop=("</execute>",)))
    assert server.requests[0].body.get("include_stop_str_in_output", False) is sent
    await collect(model)
    assert "include_stop_str_in_output" not in server.requests[1].body, "there is nothing to keep"


async def test_a_server_that_refuses_to_keep_it(server: FaultyEndpoint) -> None:
    """A refusal that names the field is the last request with it."""

    def behaviour(exchange: Exchange) -> None:
        if "include_stop_str_in_output" in exchange.body:
            detail = [{"loc": ["body", "include_stop_str_in_output"], "msg": "Extra inputs are not permitted"}]
            exchange.answer(400, {"detail": detail})
        else:
            exchange.reply("Hi")

    server.behaviour = behaviour
    model = EndpointModel(server.url, "tiny", include_stop=True)
    for _ in range(2):
        assert (await collect(model, Sampling(stop=("x",))))[0] == "Hi"
    assert len(server.requests) == 3


async def test_what_a_reply_costs(server: FaultyEndpoint) -> None:
    """A cost in the usage is kept, and so are cached tokens under DeepSeek's name."""
    server.behaviour = lambda exchange: exchange.reply("Hi", cost=0.0125)
    _, deltas = await collect(EndpointModel(server.url, "tiny"))
    assert deltas[-1].usage == Usage(prompt_tokens=20, completion_tokens=4, cached_tokens=16, cost=0.0125)
    server.behaviour = lambda exchange: exchange.reply("Hi", prompt_tokens_details=None, prompt_cache_hit_tokens=7)
    _, deltas = await collect(EndpointModel(server.url, "tiny"))
    assert deltas[-1].usage == Usage(prompt_tokens=20, completion_tokens=4, cached_tokens=7)


async def test_a_reply_that_breaks_off_before_its_first_word_is_asked_for_again(server: FaultyEndpoint) -> None:
    """Nothing was shown yet, so nothing is lost by asking again; a reply that has begun is not repeated."""

    def nothing_first(exchange: Exchange) -> None:
        if len(server.requests) == 1:
            exchange.start()
        else:
            exchange.reply("Hi")

    server.behaviour = nothing_first
    assert (await collect(EndpointModel(server.url, "tiny", retries=1)))[0] == "Hi"
    server.requests.clear()

    def half(exchange: Exchange) -> None:
        exchange.start()
        exchange.send(chunk("Ha"))

    server.behaviour = half
    with pytest.raises(ModelReplyError, match="broke off"):
        await collect(EndpointModel(server.url, "tiny", retries=1))
    assert len(server.requests) == 1


async def test_plain_completions(server: FaultyEndpoint) -> None:
    """Where the server has no template for the model, the prompt is made here; the model's own end ends the reply."""
    server.behaviour = lambda exchange: exchange.reply("Good ", "day", "<|im_", "end|>")
    model = EndpointModel(server.url, "tiny", completions=True)
    text, deltas = await collect(model, Sampling(stop=("</execute>",), max_tokens=5, seed=1))
    assert text == "Good day<|im_end|>"
    assert deltas[-1].usage == Usage(prompt_tokens=20, completion_tokens=4, cached_tokens=16)
    request = server.requests[0]
    assert request.path == "/v1/completions"
    assert request.body == {
        "model": "tiny",
        "prompt": "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n",
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.0,
        "max_tokens": 5,
        "stop": ["</execute>", "<|im_end|>"],
        "seed": 1,
    }


@pytest.mark.parametrize(
    ("owner", "field"),
    [
        pytest.param("llamacpp", {"grammar": GRAMMAR}, id="llama.cpp"),
        pytest.param("vllm", {"structured_outputs": {"grammar": GRAMMAR}}, id="vLLM"),
        pytest.param("sglang", {"ebnf": GRAMMAR}, id="SGLang"),
    ],
)
@pytest.mark.parametrize("completions", [False, True], ids=["chat", "completions"])
async def test_a_grammar_is_sent(
    server: FaultyEndpoint, owner: str, field: dict[str, Any], *, completions: bool
) -> None:
    """Each server gets the grammar under its own name for it, and nothing where there is none."""
    server.about = {"owned_by": owner}
    model = EndpointModel(server.url, "tiny", completions=completions)
    await collect(model)
    await collect(model, Sampling(grammar=GRAMMAR))
    plain, held = (exchange.body for exchange in server.requests)
    assert {name: value for name, value in held.items() if name not in plain} == field
    assert {name: held[name] for name in plain} == plain


async def test_a_server_that_takes_no_grammar(server: FaultyEndpoint) -> None:
    """A server that would ignore the grammar is not asked at all."""
    server.about = {"owned_by": "library"}
    with pytest.raises(ConfigurationError, match="'tiny' cannot be held to a grammar, because its server is 'library'"):
        await collect(EndpointModel(server.url, "tiny"), Sampling(grammar=GRAMMAR))
    assert server.requests == []


async def test_a_server_that_refuses_the_grammar(server: FaultyEndpoint) -> None:
    """The reply is never asked for without the grammar: what the server says against it is the error."""
    server.about = {"owned_by": "llamacpp"}
    server.behaviour = lambda exchange: exchange.answer(400, {"error": {"message": "failed to parse grammar"}})
    with pytest.raises(ModelUnavailable, match=r"answered 400: it refuses the request .*failed to parse grammar"):
        await collect(EndpointModel(server.url, "tiny"), Sampling(grammar=GRAMMAR))
    assert len(server.requests) == 1


@pytest.mark.model
@pytest.mark.timeout(300)
async def test_a_real_server_holds_to_the_grammar() -> None:
    """llama.cpp's server takes the grammar of a session's tools: what the model wants to write, it cannot.

    Without it, the model goes on importing a tool that there is not; with it, it can only import what there is.
    """
    pytest.importorskip("xllamacpp")
    chat = DIALECTS["chat"]
    act, wrong = Message("user", "Act."), "<execute>\nfrom tools import serch_orders\n</execute>"
    talk = [*[act, Message("assistant", wrong)] * 4, act]
    grammar = action_grammar(make_registry(), chat.action)
    with LlamaServer(fetch(SMOL)) as running:
        model = EndpointModel(running.base_url, api_key=running.api_key)
        free, held = [
            "".join([delta.text async for delta in model.stream(talk, Sampling(max_tokens=16, grammar=form))])
            for form in (None, grammar)
        ]
        with pytest.raises(ModelUnavailable, match=r"refuses the request .*failed to parse grammar"):
            _ = [delta async for delta in model.stream(talk, Sampling(grammar="root ::= ("))]
        await model.aclose()
    assert "from tools import serch_orders" in free
    imported = re.search(r"from tools import (\w+)", held)
    assert imported is not None, held
    assert is_known(imported[1]), held


def is_known(name: str) -> bool:
    """Whether a tool, a toolkit or a type of the shop begins with ``name``: a reply may end in the middle of it."""
    known = {*(spec.name for spec in make_registry().specs), *make_registry().catalog.types, "payments"}
    return any(other.startswith(name) for other in known)


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_templates(template: Template) -> None:
    """Every message is in the prompt, in order, and its text cannot open a turn in another role."""
    prompt = template.render(TALK)
    places = [prompt.index(part) for part in ("Be brief.", "Hi", "Hello.", " B ")]
    assert places == sorted(places)
    last = prompt[prompt.index("A ") : prompt.index(" D ")]
    assert not any(token in last for token in template.control)
    assert prompt.endswith(template.reply)
    assert template.render([TALK[0]]).count("Be brief.") == 1, "a system message alone is not lost"


def test_an_unknown_template() -> None:
    """The error lists the templates that there are."""
    with pytest.raises(ConfigurationError, match=r"no chat template is called 'chatlm'; there are chatml, llama2"):
        EndpointModel("http://host/v1", "tiny", completions="chatlm")
