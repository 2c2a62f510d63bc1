"""Language models behind one small protocol, and the choice among them."""

from __future__ import annotations

import difflib
import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ..errors import ConfigurationError, ModelUnavailable
from ..events import Choice
from .base import Model

if TYPE_CHECKING:
    from .embedded import EmbeddedModel
    from .endpoint import EndpointModel
    from .transformers import TransformersModel

__all__ = ["EmbeddedModel", "EndpointModel", "TransformersModel", "has_gpu", "resolve_model"]

CODEACT_AGENT = "xingyaoww/CodeActAgent-Mistral-7b-v0.1"
"""The model that CodeAct's authors trained for these actions."""

_FORMS = """\
  auto                    an endpoint from the environment, else CodeActAgent on a GPU, else the embedded model
  embedded                a small model in this process, on the CPU
  path/to/file.gguf       the same with other weights
  endpoint:NAME           model NAME of the endpoint that CODEACT_TOOLS_BASE_URL names
  http://host:8000/v1     an OpenAI-compatible server; append #NAME where it has several models
  transformers:ORG/NAME   a model of the hub, or a local folder, on the GPU in 4 bits; also just ORG/NAME"""


def __getattr__(name: str) -> object:
    """Import a back end where it is first named, so that importing the package costs nothing."""
    modules = {"EmbeddedModel": "embedded", "EndpointModel": "endpoint", "TransformersModel": "transformers"}
    if name not in modules:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(f"{__name__}.{modules[name]}"), name)


def resolve_model(model: str | Path | Model = "auto") -> tuple[Model, Choice]:
    """Return the model that ``model`` names, and why it was chosen. Nothing is loaded and nothing is sent.

    Args:
        model: One of these, or a model::

              auto                    an endpoint from the environment, else CodeActAgent on a GPU, else embedded
              embedded                a small model in this process, on the CPU
              path/to/file.gguf       the same with other weights
              endpoint:NAME           model NAME of the endpoint that CODEACT_TOOLS_BASE_URL names
              http://host:8000/v1     an OpenAI-compatible server; append #NAME where it has several models
              transformers:ORG/NAME   a model of the hub, or a local folder, on the GPU in 4 bits; also just ORG/NAME

    Raises:
        ConfigurationError: The name is none of these, or something that it needs is missing.
        ModelUnavailable: ``auto``, and there is nothing to choose from.
    """
    if isinstance(model, str | Path):
        return _named(str(model))
    if not (hasattr(model, "stream") and hasattr(model, "aclose")):
        msg = f"model is {model!r}, which is neither a model nor the name of one; write one of\n{_FORMS}"
        raise ConfigurationError(msg)
    return model, Choice(name=model.name, reason="passed by the caller")


def has_gpu() -> bool:
    """Whether a CUDA device is visible to this process; asks the system, not torch, so it costs microseconds."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in {"", "-1"}:
        return False
    return any(Path(device).exists() for device in ("/dev/nvidia0", "/dev/dxg")) or any(
        Path("/proc/driver/nvidia/gpus").glob("*")
    )


def _named(name: str) -> tuple[Model, Choice]:
    kind, _, rest = name.partition(":")
    if name == "auto":
        return _auto()
    if name == "embedded":
        return _embedded("asked for by name")
    if kind in {"http", "https"}:
        from .endpoint import EndpointModel

        url, _, served = name.partition("#")
        endpoint = EndpointModel(url, served or None)
        return endpoint, Choice(name=served or endpoint.base_url, reason=f"the endpoint {endpoint.base_url}")
    if kind == "endpoint":
        from .endpoint import EndpointModel

        endpoint = EndpointModel(model=rest or None)
        return endpoint, Choice(name=endpoint.name, reason=f"the endpoint {endpoint.base_url} of the environment")
    if kind == "transformers" and rest:
        return _transformers(rest, "asked for by name")
    path = Path(name).expanduser()
    if name.endswith(".gguf"):
        from .embedded import EmbeddedModel

        embedded = EmbeddedModel(path)
        return embedded, Choice(name=embedded.name, reason=f"the file {name}")
    if path.is_dir():
        return _transformers(str(path), f"the folder {name}")
    if name.count("/") == 1 and not name.startswith((".", "/", "~")) and not name.endswith("/"):
        return _transformers(name, "a model of the hub, by its name")
    near = difflib.get_close_matches(kind, ["auto", "embedded", "endpoint", "transformers"], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    msg = f"no model is called {name!r}{hint or '.'} Write one of\n{_FORMS}"
    raise ConfigurationError(msg)


def _auto() -> tuple[Model, Choice]:
    from .endpoint import EndpointModel, endpoint_from_environment

    warnings: list[str] = []
    if (found := endpoint_from_environment()) is not None:
        endpoint = EndpointModel()
        return endpoint, Choice(name=endpoint.name, reason=f"the environment names the endpoint {found[0]}")
    if os.environ.get("OPENAI_API_KEY"):
        warnings.append("OPENAI_API_KEY is set, but no model is named: set CODEACT_TOOLS_MODEL to use it")
    if has_gpu():
        missing = [name for name in ("torch", "transformers", "bitsandbytes", "accelerate") if not _installed(name)]
        if not missing:
            return _transformers(CODEACT_AGENT, "there is a GPU", tuple(warnings))
        warnings.append(f"there is a GPU, but not {', '.join(missing)}: pip install 'codeact-tools[transformers]'")
    if _installed("xllamacpp"):
        why = "no endpoint is named, and there is no GPU" if not has_gpu() else "no endpoint is named"
        return _embedded(f"{why}, so the embedded CPU model", tuple(warnings))
    notes = "".join(f"\n({warning})" for warning in warnings)
    msg = (
        "there is no model to use. Either set CODEACT_TOOLS_BASE_URL and CODEACT_TOOLS_MODEL to use an "
        "OpenAI-compatible server, or run `pip install 'codeact-tools[embedded]'` for a small model on this "
        f"machine's CPU{notes}"
    )
    raise ModelUnavailable(msg)


def _embedded(reason: str, warnings: tuple[str, ...] = ()) -> tuple[Model, Choice]:
    from .embedded import EmbeddedModel
    from .weights import DEFAULT_WEIGHTS, locate

    model = EmbeddedModel()
    if locate() is None:
        size = f"{DEFAULT_WEIGHTS.size / 1e9:.1f} GB"
        warnings += (f"{model.name} ({DEFAULT_WEIGHTS.license}, {size}) is downloaded first",)
    return model, Choice(name=model.name, reason=reason, warnings=warnings)


def _transformers(name: str, reason: str, warnings: tuple[str, ...] = ()) -> tuple[Model, Choice]:
    from .transformers import TransformersModel

    model = TransformersModel(name)
    return cast("Model", model), Choice(name=model.name, reason=reason, warnings=warnings)


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
