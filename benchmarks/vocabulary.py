"""The tokenizer of the embedded model, read from its weights: a GGUF file holds vocabulary and merges.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final

from codeact_tools.models.weights import locate

_NUMBERS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _ARRAY = 8, 9
_WORDS: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Qwen2 cuts a text into words before the merges."""


def read_metadata(path: Path) -> dict[str, Any]:
    """The key-value pairs at the beginning of a GGUF file."""
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise SystemExit(f"{path} is no GGUF file")
        _number(file, "I")
        _number(file, "Q")
        return {_text(file): _value(file, _number(file, "I")) for _ in range(_number(file, "Q"))}


def load_counter() -> Callable[[str], int]:
    """A function that counts the tokens of a text."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    path = locate()
    if path is None:
        raise SystemExit("the embedded model's weights are not here: codeact-tools model fetch")
    metadata = read_metadata(path)
    vocabulary = {text: number for number, text in enumerate(metadata["tokenizer.ggml.tokens"])}
    merges = [tuple(each.split(" ")) for each in metadata["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return lambda text: len(tokenizer.encode(text).ids)


def _number(file: BinaryIO, code: str) -> Any:
    return struct.unpack(f"<{code}", file.read(struct.calcsize(f"<{code}")))[0]


def _text(file: BinaryIO) -> str:
    return file.read(_number(file, "Q")).decode("utf-8", "surrogateescape")


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == _TEXT:
        return _text(file)
    if kind == _ARRAY:
        inner, length = _number(file, "I"), _number(file, "Q")
        return [_value(file, inner) for _ in range(length)]
    return _number(file, _NUMBERS[kind])
