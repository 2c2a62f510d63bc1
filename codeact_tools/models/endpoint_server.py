"""What a server says about itself and its models: names, context windows, and which server it is."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import ConfigurationError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_WINDOW_FIELDS = ("max_model_len", "context_length", "context_window", "max_context_length", "n_ctx")
"""Names of a model's context window in its entry of ``/v1/models``: vLLM and SGLang, OpenRouter and Together, Groq,
LM Studio, llama.cpp."""

_KEEPS_STOP = frozenset({"vllm"})
"""Servers that know ``include_stop_str_in_output``. TGI and `transformers serve` keep the stop string anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """The models of a server."""

    windows: Mapping[str, int | None]
    """Each model's context window in tokens, where the server says it."""
    owner: str = ""
    """``owned_by`` of the first model: ``vllm`` and ``llamacpp`` name the server here."""

    @property
    def names(self) -> tuple[str, ...]:
        """The models' names, as the server calls them."""
        return tuple(self.windows)

    def constrain(self, grammar: str, name: str) -> dict[str, Any]:
        """Return the field of a request that holds the server to ``grammar``.

        Raises:
            ConfigurationError: The server is not known to have one.
        """
        if self.owner == "llamacpp":
            return {"grammar": grammar}
        if self.owner == "vllm":
            return {"structured_outputs": {"grammar": grammar}}
        if self.owner == "sglang":
            return {"ebnf": grammar}
        who = repr(self.owner) if self.owner else "unknown"
        msg = f"{name!r} cannot be held to a grammar, because its server is {who}; llama.cpp, vLLM and SGLang can"
        raise ConfigurationError(msg)

    @property
    def keeps_stop(self) -> bool:
        """Whether the server can be asked to keep the stop string in its reply."""
        return self.owner in _KEEPS_STOP


UNKNOWN = Served(windows={})
"""A server that does not say."""


async def ask(client: AsyncOpenAI) -> Served:
    """Ask the server for its models; whatever the client raises is raised."""
    models = [model async for model in client.models.list()]
    owner = models[0].owned_by if models else ""
    windows = {model.id: _window(model.model_extra or {}) for model in models}
    if owner == "llamacpp" and list(windows.values()) == [None]:
        windows = dict.fromkeys(windows, await _llama_window(client))
    return Served(windows=windows, owner=owner or "")


def _window(entry: Mapping[str, Any]) -> int | None:
    meta = entry.get("meta")
    places: tuple[Mapping[str, Any], ...] = (entry, meta if isinstance(meta, dict) else {})
    for place in places:
        for name in _WINDOW_FIELDS:
            if isinstance(place.get(name), int) and place[name] > 0:
                return int(place[name])
    return None


async def _llama_window(client: AsyncOpenAI) -> int | None:
    """Ask a llama.cpp whose list of models does not tell the window."""
    base = urlsplit(str(client.base_url))
    import openai

    with contextlib.suppress(openai.OpenAIError, KeyError, TypeError, ValueError):  # it is good to know, no more
        properties: Any = await client.get(f"{base.scheme}://{base.netloc}/props", cast_to=object)
        return int(properties["default_generation_settings"]["n_ctx"])
    return None
