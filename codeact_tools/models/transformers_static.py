"""A cache of fixed size, on which one step of a model can be compiled, or recorded as a CUDA graph."""

from __future__ import annotations

import copy
import importlib
from typing import Any

_FIRST_SIZE = 4096
"""Tokens; a conversation that needs more doubles the size, which compiles the step again."""


class StaticWorkbench:
    """Lends one static cache to one conversation at a time.

    What is compiled is bound to the memory of the cache, so there is one for all conversations: before a reply, the
    keys and values of its conversation are copied in; behind it, they are copied out again. On a GPU this takes less
    time than a token does.
    """

    def __init__(self, model: Any, window: int) -> None:
        """Take the model, and the most tokens that a conversation may have."""
        self._torch: Any = importlib.import_module("torch")
        self._library: Any = importlib.import_module("transformers")
        self._window = window
        self._config = _with_full_attention(model.config)
        self._static: Any = None
        self._size = 0
        self.compiling = self._library.CompileConfig()
        if model.device.type == "cpu":  # where there are no graphs to record; transformers compiles only if forced to
            self.compiling = self._library.CompileConfig(mode="default")
            self.compiling._compile_all_devices = True
        # It says that bitsandbytes cannot be compiled, which it can since 0.46, and so keeps transformers from it.
        model.hf_quantizer = None

    def load(self, cache: Any, needed: int) -> Any:
        """Return the static cache with what ``cache`` holds, and room for ``needed`` tokens."""
        if self._static is None or needed > self._size:
            self._size = self._size or _FIRST_SIZE
            while self._size < needed:
                self._size *= 2
            self._size = min(self._size, self._window)
            self._static = self._library.StaticCache(config=self._config, max_cache_len=self._size)
        count = int(cache.get_seq_length())
        sources = cache.layers or [None] * len(self._static.layers)
        with self._torch.inference_mode():
            for layer, source in zip(self._static.layers, sources, strict=True):
                if count and not layer.is_initialized:
                    layer.lazy_initialization(source.keys, source.values)
                if count:
                    layer.keys[:, :, :count].copy_(source.keys)
                    layer.values[:, :, :count].copy_(source.values)
                layer.cumulative_length.fill_(count)
        return self._static

    def unload(self) -> Any:
        """Return what the static cache holds as a cache that can be kept and cut."""
        cache = self._library.DynamicCache()
        with self._torch.inference_mode():
            for index, layer in enumerate(self._static.layers):
                count = int(layer.get_seq_length())
                cache.update(layer.keys[:, :, :count].clone(), layer.values[:, :, :count].clone(), index)
        return cache


def _with_full_attention(config: Any) -> Any:
    """Return the configuration of a cache that keeps what has left a sliding window, so that it can be cut back."""
    text = copy.deepcopy(config.get_text_config(decoder=True))
    text.sliding_window = None
    if getattr(text, "layer_types", None) is not None:
        text.layer_types = ["full_attention"] * text.num_hidden_layers
    return text
