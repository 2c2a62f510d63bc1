"""Ways to write faster, and what is kept between turns: the tokens stay the same, and memory stays bounded."""

from __future__ import annotations

import asyncio
import importlib
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeact_tools.dialects import DIALECTS
from codeact_tools.errors import ConfigurationError, ModelReplyError, ModelUnavailable
from codeact_tools.events import Usage
from codeact_tools.models.base import Message, Sampling
from codeact_tools.models.transformers import TransformersModel
from codeact_tools.models.transformers_loading import Plan, check_memory, load_errors, make_plan
from codeact_tools.models.transformers_lookup import LONGEST, SHORTEST, Lookup
from codeact_tools.models.transformers_replies import explained
from tests.smol import need_libraries, tiny_folder

CHAT = DIALECTS["chat"]
RECORDED = [
    Message("system", f"{CHAT.preamble} {CHAT.acting} {CHAT.answering}"),
    Message("user", "Which of the orders of Ann Smith was the largest?"),
    Message("assistant", "<execute>\norders = search_orders('Ann Smith', limit=100)\nprint(orders)\n</execute>"),
    Message("user", CHAT.observe("[Order(id='A17', total=12.5), Order(id='A18', total=99.0)]\n")),
    Message("assistant", "<execute>\nprint(max(orders, key=lambda order: order.total))\n</execute>"),
    Message("user", CHAT.observe("Order(id='A18', total=99.0)\n")),
    Message("assistant", "The largest order of Ann Smith is A18, with a total of 99.0."),
    Message("user", "And the smallest?"),
]
"""A recorded conversation in the chat dialect: actions copy names from observations."""
NEEDS_COMPILER = pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles for the CPU with g++")


def test_a_guess_is_what_followed() -> None:
    """The longest run of last tokens decides; of several places, the latest one."""
    assert Lookup([1, 2, 3, 9, 1, 2, 4, 9, 1, 2]).guess(2) == [4, 9]
    assert Lookup([5, 1, 2, 3, 9, 6, 1, 2, 4, 9, 5, 1, 2]).guess(1) == [3], "three tokens say more than two"
    assert Lookup([1, 2, 3]).guess(5) == []
    assert Lookup([1]).guess(5) == Lookup([]).guess(5) == []
    assert Lookup([1, 2, 1, 2]).guess(0) == []


@given(
    start=st.lists(st.integers(0, 3), max_size=30),
    more=st.lists(st.integers(0, 3), max_size=30),
    most=st.integers(1, 9),
)
def test_guesses(start: list[int], more: list[int], most: int) -> None:
    """A guess stands in the conversation, behind the run that the conversation ends with; reading on is reading."""
    lookup = Lookup(start)
    lookup.extend(more)
    tokens = start + more
    assert lookup.tokens == tokens
    guess = lookup.guess(most)
    assert guess == Lookup(tokens).guess(most)
    runs = [
        size
        for size in range(SHORTEST, min(LONGEST, len(tokens) - 1) + 1)
        if any(tokens[at : at + size] == tokens[-size:] for at in range(len(tokens) - size))
    ]
    assert bool(guess) == bool(runs)
    if guess:
        context = tokens[-max(runs) :] + guess
        assert any(tokens[at : at + len(context)] == context for at in range(len(tokens)))


class TestErrors:
    """What cannot be loaded says what to do; nothing here needs the libraries."""

    @pytest.fixture
    def torch(self, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
        """A torch that sees two GPUs with 8 GB."""
        cuda = SimpleNamespace(is_available=lambda: True, device_count=lambda: 2, mem_get_info=lambda _: (8e9, 8e9))
        library = SimpleNamespace(__version__="2.13", cuda=cuda)
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "bitsandbytes" else name)
        monkeypatch.setattr("importlib.import_module", lambda _name: library)
        return library

    def test_4_bits_without_bitsandbytes(self, torch: SimpleNamespace) -> None:
        """Asked for, they need the extra; not asked for, the weights are loaded whole."""
        with pytest.raises(ConfigurationError, match=r"needs bitsandbytes; run `pip install 'codeact-tools\[transf"):
            make_plan("cpu", load_in_4bit=True)
        assert make_plan(None, load_in_4bit=None) == Plan("cuda", load_in_4bit=False)

    def test_a_gpu_that_is_not_there(self, torch: SimpleNamespace) -> None:
        """The third of two is refused with those that there are; without any, `nvidia-smi` is what to look at."""
        with pytest.raises(ConfigurationError, match=r"device is 'cuda:2', .* torch sees cuda:0, cuda:1"):
            make_plan("cuda:2", load_in_4bit=False)
        torch.cuda.is_available = lambda: False
        with pytest.raises(ConfigurationError, match=r"no CUDA device: check `nvidia-smi`.*device='cpu' works"):
            make_plan("cuda", load_in_4bit=False)

    def test_too_little_memory(self, torch: SimpleNamespace, tmp_path: Path) -> None:
        """Weights that cannot fit are refused before they are read: whole ones may fit in 4 bits."""
        with (tmp_path / "model.safetensors").open("wb") as weights:
            weights.truncate(14_000_000_000)
        with pytest.raises(ModelUnavailable, match=r"needs about 14\.0 GB of GPU memory, and 8\.0 GB .*; load_in_4bit"):
            check_memory(str(tmp_path), Plan("cuda", load_in_4bit=False))
        check_memory(str(tmp_path), Plan("cuda", load_in_4bit=True))
        torch.cuda.mem_get_info = lambda _: (2e9, 8e9)
        with pytest.raises(ModelUnavailable, match=r"needs about 4\.2 GB of GPU memory.*; free some, or use a smaller"):
            check_memory(str(tmp_path), Plan("cuda", load_in_4bit=True))
        torch.virtual_memory = lambda: SimpleNamespace(available=16e9)
        with pytest.raises(
            ModelUnavailable, match=r"needs about 28\.0 GB of memory, and 16\.0 GB are free; load_in_4b"
        ):
            check_memory(str(tmp_path), Plan("cpu", load_in_4bit=False))
        (tmp_path / "config.json").write_text('{"torch_dtype": "float32"}')
        check_memory(str(tmp_path), Plan("cpu", load_in_4bit=False))

    @pytest.mark.parametrize(
        ("error", "says"),
        [
            (
                RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
                "the memory of 'cuda' is too small .*4bit=True",
            ),
            (ValueError("Some modules are dispatched on the CPU or the disk"), "the memory of 'cuda' is too small"),
            (MemoryError(), "the memory of 'cuda' is too small"),
            (OSError("You are trying to access a gated repo."), "is gated: accept its terms .* `hf auth login`"),
            (OSError("We couldn't connect to 'https://huggingface.co'"), "no model 'org/name': .*name and the network"),
            (KeyError("mystery_model"), "'org/name' cannot be loaded: KeyError: 'mystery_model'"),
        ],
        ids=["memory of the GPU", "modules on the CPU", "memory", "gated", "offline", "unknown"],
    )
    def test_what_loading_raises(self, error: Exception, says: str) -> None:
        """Each is the one error of this package, with the first as its cause."""
        with (
            pytest.raises(ModelUnavailable, match=says) as caught,
            load_errors("org/name", Plan("cuda", load_in_4bit=False)),
        ):
            raise error
        assert caught.value.__cause__ is error

    def test_what_generating_raises(self) -> None:
        """Too little memory names the ways out; anything else is the model's failure, in its own words."""
        assert isinstance(explained("OutOfMemoryError: CUDA"), ModelUnavailable)
        assert "fewer conversations=" in str(explained("MemoryError: "))
        assert isinstance(explained("RuntimeError: no kernel"), ModelReplyError)


@pytest.fixture(scope="module", params=[None, 16], ids=["full attention", "sliding window"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with random weights, with and without a sliding window that is shorter than a turn."""
    return tiny_folder(tmp_path_factory.mktemp("tiny"), sliding_window=request.param)


@pytest.fixture
async def plain(folder: Path) -> AsyncIterator[TransformersModel]:
    """The model as it is."""
    model = TransformersModel(folder, device="cpu")
    yield model
    await model.aclose()


async def ask(model: TransformersModel, messages: Sequence[Message], sampling: Sampling) -> tuple[str, Usage]:
    """Return the reply and its usage."""
    deltas = [delta async for delta in model.stream(messages, sampling)]
    return "".join(delta.text for delta in deltas), next(delta.usage for delta in deltas if delta.usage)


async def converse(model: TransformersModel, *, forget: bool = False) -> list[tuple[str, int, bool]]:
    """Return the reply to each turn of the recorded conversation, its tokens, and whether the cache served."""
    said: list[tuple[str, int, bool]] = []
    await model.load()
    for turn in range(2, len(RECORDED) + 1, 2):
        if forget:
            assert model._loaded is not None
            model._loaded.prefixes.clear()
        text, usage = await ask(model, RECORDED[:turn], Sampling(max_tokens=24))
        said.append((text, usage.completion_tokens, usage.cached_tokens > 0))
    return said


@pytest.mark.transformers
@pytest.mark.timeout(400)
class TestDecoding:
    """What needs the libraries."""

    @pytest.mark.parametrize(
        "options",
        [{"prompt_lookup": 6}, {"prompt_lookup": 1}, {"attention": "eager"}, {"batch": 2}],
        ids=["prompt lookup", "one token ahead", "attention", "batch"],
    )
    async def test_the_same_tokens(self, plain: TransformersModel, folder: Path, options: dict[str, Any]) -> None:
        """Over a recorded conversation, each way to write gives what `generate` gives without any cache."""
        fast = TransformersModel(folder, device="cpu", **options)
        expected = [(text, tokens) for text, tokens, _ in await converse(plain, forget=True)]
        assert [(text, tokens) for text, tokens, _ in await converse(fast)] == expected
        await fast.aclose()

    @pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
    @pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=NEEDS_COMPILER)], ids=["alone", "compiled"])
    async def test_the_static_cache(
        self, plain: TransformersModel, folder: Path, monkeypatch: pytest.MonkeyPatch, compiled: bool
    ) -> None:
        """So do the static cache, and the step that is compiled on it, once for all turns."""
        fast = TransformersModel(folder, device="cpu", compile=True)
        await fast.load()
        assert fast._loaded is not None
        assert fast._loaded._workbench is not None
        if not compiled:
            fast._loaded._workbench.compiling = None
        monkeypatch.setattr("codeact_tools.models.transformers_static._FIRST_SIZE", 512 if compiled else 128)
        expected = [(text, tokens) for text, tokens, _ in await converse(plain, forget=True)]
        counted = importlib.import_module("torch._dynamo.utils").counters
        counted.clear()
        said = await converse(fast)
        assert [(text, tokens) for text, tokens, _ in said] == expected
        assert [cached for _, _, cached in said] == [False, True, True, True]
        assert (counted["stats"]["unique_graphs"], sum(counted["graph_break"].values())) == (int(compiled), 0)
        await fast.aclose()

    async def test_guesses_save_steps(self, folder: Path) -> None:
        """A reply that repeats itself takes fewer steps than it has tokens; temperature and seed count as before."""
        model = TransformersModel(folder, device="cpu", prompt_lookup=6)
        await model.load()
        assert model._loaded is not None
        steps, forward = 0, model._loaded.model.forward

        def counted(*positional: object, **inputs: object) -> Any:
            nonlocal steps
            steps += 1
            return forward(*positional, **inputs)

        model._loaded.model.forward = counted
        text, usage = await ask(model, [Message("user", "Hi")], Sampling(max_tokens=200))
        assert steps <= usage.completion_tokens == 200
        hot = Sampling(max_tokens=12, temperature=2.0, seed=5)
        model._loaded.prefixes.clear()
        first = await ask(model, RECORDED[:2], hot)
        model._loaded.prefixes.clear()
        assert (await ask(model, RECORDED[:2], hot))[0] == first[0] != text
        await model.aclose()

    async def test_a_stop_string_and_a_grammar(self, plain: TransformersModel, folder: Path) -> None:
        """Written ahead or not, a reply ends at its stop string and keeps to its grammar."""
        pytest.importorskip("llguidance")
        fast = TransformersModel(folder, device="cpu", prompt_lookup=6)
        text, _ = await ask(plain, RECORDED[:2], Sampling(max_tokens=16))
        stop = Sampling(max_tokens=16, stop=(text[4:7],))
        assert (await ask(fast, RECORDED[:2], stop))[0] == text[: text.index(text[4:7]) + 3]
        held = Sampling(max_tokens=16, grammar='root ::= "yes, " [0-9]+ "!"')
        assert (await ask(fast, RECORDED[:2], held))[0] == (await ask(plain, RECORDED[:2], held))[0]
        await fast.aclose()

    async def test_after_trimming(self, plain: TransformersModel) -> None:
        """A conversation that lost turns in its middle keeps what comes before; the cache changes nothing."""
        await converse(plain)
        trimmed = [*RECORDED[:2], *RECORDED[6:]]
        text, usage = await ask(plain, trimmed, Sampling(max_tokens=12))
        assert usage.cached_tokens > 100
        assert plain._loaded is not None
        plain._loaded.prefixes.clear()
        assert (await ask(plain, trimmed, Sampling(max_tokens=12)))[0] == text

    async def test_memory_is_bounded(self, folder: Path) -> None:
        """Of many sessions at once, the last few keep their keys and values, and the least recent is forgotten."""
        model = TransformersModel(folder, device="cpu", conversations=2)
        talks = [[Message("system", f"{number} is your number. " * 20), Message("user", "Hi")] for number in range(5)]
        await asyncio.gather(*(ask(model, talk, Sampling(max_tokens=3)) for talk in talks))
        assert model._loaded is not None
        prefixes = model._loaded.prefixes
        assert len(prefixes) == 2
        for prefix in prefixes._prefixes:
            assert int(prefix.cache.get_seq_length()) == len(prefix.tokens)
        for talk in (*talks[:3], talks[1]):
            _, usage = await ask(model, talk, Sampling(max_tokens=3))
        assert usage.cached_tokens > 60, "asked for the second time lately"
        _, usage = await ask(model, talks[0], Sampling(max_tokens=3))
        assert usage.cached_tokens < 60, "two others came since"
        await model.aclose()

    async def test_cancellation_keeps_what_was_read(self, folder: Path) -> None:
        """A reply that is given up in the middle leaves its conversation to go on from, also when written ahead."""
        for options in ({}, {"prompt_lookup": 4}):
            model = TransformersModel(folder, device="cpu", **cast("Any", options))
            async with aclosing(cast("Any", model.stream(RECORDED[:2], Sampling(max_tokens=500)))) as stream:
                await anext(stream)
            text, usage = await ask(model, RECORDED[:4], Sampling(max_tokens=8))
            assert usage.cached_tokens > 100
            assert model._loaded is not None
            model._loaded.prefixes.clear()
            assert (await ask(model, RECORDED[:4], Sampling(max_tokens=8)))[0] == text
            await model.aclose()

    async def test_an_incomplete_folder(self, tmp_path: Path) -> None:
        """A folder that is there but holds no model says what it needs."""
        need_libraries()
        (tmp_path / "config.json").write_text('{"model_type": "mistral"}')
        with pytest.raises(ModelUnavailable, match=r"cannot be loaded|holds no complete model of transformers"):
            await TransformersModel(tmp_path, device="cpu").load()
