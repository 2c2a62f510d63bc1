"""Models of a known architecture with random weights: as fast and as large as the real ones, and needing no download.

`build("7b", folder)` writes Mistral's 7B, as CodeActAgent has it, in 14.5 GB of bfloat16; loading it in 4 bits is then
the same work as for the real weights. What it says means nothing. `build("tiny", folder)` is for trying the benchmark.
"""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
VOCABULARY = 32_002
"""Tokens of CodeActAgent: Mistral's, and ChatML's two."""

_MISTRAL: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 32_768,
    "sliding_window": 4096,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
    "bos_token_id": 1,
    "eos_token_id": 2,
}
SIZES: dict[str, dict[str, Any]] = {
    "7b": {
        "hidden_size": 4096,
        "intermediate_size": 14_336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
    },
    "tiny": {
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    },
}


def build(size: str, folder: Path) -> Path:
    """Write the model of that size, and a tokenizer, into ``folder``, unless it is there; return the folder."""
    if (folder / "tokenizer_config.json").is_file():
        return folder
    import torch
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    config = transformers.MistralConfig(**_MISTRAL, **SIZES[size], dtype="bfloat16")
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.bfloat16)
        try:
            model = transformers.MistralForCausalLM(config)
        finally:
            torch.set_default_dtype(before)
    model.save_pretrained(folder, max_shard_size="2GB")
    del model
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    _tokenizer().save_pretrained(folder)
    return folder


def _tokenizer() -> Any:
    """Return a tokenizer that is trained on this repository's text, with as many tokens as the model."""
    import tokenizers
    import transformers

    engine = tokenizers.Tokenizer(tokenizers.models.BPE())
    engine.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=VOCABULARY - 2,
        special_tokens=["<unk>", "<s>", "</s>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    files = [*ROOT.glob("docs/**/*.md"), *ROOT.glob("codeact_tools/**/*.py"), *ROOT.glob("tests/*.py")]
    engine.train([str(file) for file in files], trainer)
    engine.add_special_tokens(["<|im_end|>", "<|im_start|>"])
    engine.add_tokens([f"<extra {number}>" for number in range(VOCABULARY - engine.get_vocab_size())])
    names = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=engine, **names)
