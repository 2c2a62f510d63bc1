"""Read a model's reply: what it thinks, the code that it wants to run, or its final answer.

Models and servers break every form that there is; what the recorded turns of real models show is accepted: a block
closed by its tag, by a half tag, by a stop string that the server dropped or by the end of the text; several blocks;
markdown fences inside the tags or instead of them; indentation; stray tags; leaked template tokens; an observation
that the model invents after its own action.

The work is linear in the length of the reply: one pass finds every marker, a state machine goes over the markers.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .pycode import extract_code, fenced_blocks, is_program, literal_final_answer, parses

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    """What opens and closes a block."""

    open: str
    close: str
    """Empty: the block goes to the end of the text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a model said in one turn."""

    thought: str
    """The prose outside the blocks."""
    actions: tuple[str, ...] = ()
    """Code of each block, in order, without tags, fences and common indentation."""
    answer: str | None = None
    """The final answer; always None where there is an action, because its output comes first."""
    draft: str | None = None
    """An answer that stands beside an action: written before the action's output was seen. A last turn may use it."""
    closed: bool = True
    """Whether the last block was closed. An open one is complete where the server dropped the stop string, and cut off
    where the reply ended for its length: the caller knows which."""
    text: str = ""
    """The reply as it belongs into the conversation: without leaked tokens and invented turns, last action closed."""

    @property
    def code(self) -> str:
        """All actions as one program.

        Blocks of one reply run together: each was written before any output was seen, they share their variables, and
        running only the first loses work that the model takes for done. What follows an observation that the model
        invented is based on it, and is not part of the reply.
        """
        return "\n\n".join(self.actions)


@dataclass(frozen=True, slots=True)
class _Marker:
    """A tag, or the head of an invented observation, in the text."""

    kind: str
    """``action`` or ``answer``: an opening tag; ``close``; ``invented``."""
    start: int
    end: int
    line_start: bool
    tags: Tags = Tags(open="", close="")
    """Of an opening tag."""

    @property
    def opens(self) -> bool:
        return self.kind in {"action", "answer"}


@dataclass(slots=True)
class _Block:
    kind: str
    tags: Tags
    content: str
    closed: bool


@dataclass(slots=True)
class _Scan:
    """What the state machine found."""

    blocks: list[_Block] = field(default_factory=list)
    prose: list[str] = field(default_factory=list)
    end: int = 0
    """Where the model's own turn ends."""


_TURN_ENDS = re.compile(r"<\|(?:im_end|im_start|endoftext|eot_id|end_of_text|end)\|>|<end_of_turn>")
_TURN_START = re.compile(r"\s*(?:<\|im_start\|>\s*(?:assistant\b)?\s*)+")
_THINKING_ENDS = "</think>"


def read_reply(
    text: str,
    *,
    actions: Sequence[Tags],
    answers: Sequence[Tags],
    plain_answer: bool,
    answer_calls: bool = True,
    invented: Sequence[str] = (),
) -> Reply:
    """Read ``text``.

    Args:
        text: What the model wrote, with or without the stop string that ended it.
        actions: Tags that enclose an action.
        answers: Tags that enclose a final answer.
        plain_answer: Whether a reply without any block is the answer.
        answer_calls: Whether ``final_answer(<literal>)`` alone is the answer.
        invented: Heads of observations; where a line starts with one, the model's own turn has ended.
    """
    text = _own_turn(text)
    scan = _scan(text, _markers(text, tuple(dict.fromkeys(actions)), tuple(dict.fromkeys(answers)), tuple(invented)))
    thought = "\n".join(part for part in (piece.strip() for piece in scan.prose) if part)
    codes = [code for block in scan.blocks if block.kind == "action" and (code := extract_code(block.content))]
    answer = next((b.content.strip() for b in reversed(scan.blocks) if b.kind == "answer" and b.content.strip()), None)
    closed = scan.blocks[-1].closed if scan.blocks else True
    own = text[: scan.end].strip()
    if scan.blocks and scan.blocks[-1].kind == "action":
        own = _complete(own, scan.blocks[-1].tags, closed=closed)
    if not codes and answer is None:
        thought, codes, closed = _untagged(thought)
    if answer_calls and len(codes) == 1 and answer is None and (literal := literal_final_answer(codes[0])) is not None:
        return Reply(thought=thought, answer=literal, closed=closed, text=own)
    if codes:
        return Reply(thought=thought, actions=tuple(codes), draft=answer, closed=closed, text=own)
    if answer is None and plain_answer:
        answer = thought or None
    return Reply(thought=thought, answer=answer, closed=closed, text=own)


def _own_turn(text: str) -> str:
    """Cut off reasoning, leaked template tokens, and what a model writes in the name of the next speaker."""
    text = text.replace("\r\n", "\n")
    if (started := _TURN_START.match(text)) is not None:
        text = text[started.end() :]
    if (thinking := text.find(_THINKING_ENDS)) >= 0:
        text = text[thinking + len(_THINKING_ENDS) :]
    elif text.lstrip().startswith("<think>"):
        return ""
    if (ends := _TURN_ENDS.search(text)) is not None:
        text = text[: ends.start()]
    return text.rstrip().removesuffix("</s>")


def _tag_pattern(tag: str, *, closing: bool) -> str:
    """Return a pattern for ``tag`` that allows for case and spaces, and for a closing tag without its ``>``."""
    if tag.startswith("<"):
        name = re.escape(tag.strip("</>"))
        return rf"<[ ]?/[ ]?{name}\b[ ]?>?" if closing else rf"<[ ]?{name}[ ]?>"
    if tag.startswith("`"):
        return r"(?!)"  # fences are read line by line, in a second pass
    return rf"(?:^|(?<=\n))[ \t]*{re.escape(tag)}"


@functools.cache
def _marker_pattern(actions: tuple[Tags, ...], answers: tuple[Tags, ...], invented: tuple[str, ...]) -> re.Pattern[str]:
    parts: list[str] = []
    for kind, group in (("action", actions), ("answer", answers)):
        for number, tags in enumerate(group):
            parts.append(f"(?P<{kind}_{number}>{_tag_pattern(tags.open, closing=False)})")
            if tags.close:
                parts.append(f"(?P<close_{kind}_{number}>{_tag_pattern(tags.close, closing=True)})")
    heads = "|".join(re.escape(head.strip()) for head in invented if head.strip())
    if heads:
        parts.append(rf"(?P<invented>(?:^|(?<=\n))(?:{heads}))")
    return re.compile("|".join(parts), re.IGNORECASE)


def _markers(
    text: str, actions: tuple[Tags, ...], answers: tuple[Tags, ...], invented: tuple[str, ...]
) -> Iterator[_Marker]:
    groups = {"action": actions, "answer": answers}
    for match in _marker_pattern(actions, answers, invented).finditer(text):
        name = match.lastgroup or ""
        line_start = match.start() == 0 or text[match.start() - 1] == "\n"
        if name == "invented" or name.startswith("close_"):
            yield _Marker(name.partition("_")[0], match.start(), match.end(), line_start)
        else:
            kind, _, number = name.partition("_")
            yield _Marker(kind, match.start(), match.end(), line_start, groups[kind][int(number)])


def _scan(text: str, markers: Iterator[_Marker]) -> _Scan:
    """Go over the markers once and cut ``text`` into prose and blocks."""
    scan = _Scan()
    position = 0
    opened: _Marker | None = None
    doubt: int | None = None
    for marker in markers:
        if marker.start < position:
            continue
        if opened is None:
            if marker.kind == "invented":
                if not scan.blocks and not text[: marker.start].strip():
                    continue
                scan.prose.append(text[position : marker.start])
                scan.end = marker.start
                return scan
            _add_prose(scan, text[position : marker.start], stray_close=marker.kind == "close")
            position = marker.end
            opened, doubt = (marker if marker.opens else None), None
            continue
        content = text[position : marker.start]
        if marker.kind == "invented":
            doubt = marker.start if doubt is None else doubt
        elif marker.kind == "close":
            if doubt is not None and not parses(content):
                break
            _add_block(scan, opened, content, closed=True)
            position, opened, doubt = marker.end, None, None
        elif not content.strip():
            position, opened = marker.end, marker
        elif marker.line_start:
            _add_block(scan, opened, content, closed=False)
            position, opened, doubt = marker.end, marker, None
    scan.end = len(text) if doubt is None else doubt
    if opened is None:
        scan.prose.append(text[position:])
    else:
        rest = text[position : scan.end]
        _add_block(scan, opened, _without_half_tag(rest, opened.tags), closed=not opened.tags.close)
    return scan


def _add_block(scan: _Scan, opened: _Marker, content: str, *, closed: bool) -> None:
    scan.blocks.append(_Block(opened.kind, opened.tags, content, closed))


def _add_prose(scan: _Scan, prose: str, *, stray_close: bool) -> None:
    """Keep ``prose``; a program that ends with a closing tag and never opened one is an action."""
    if stray_close and is_program(prose):
        scan.blocks.append(_Block("action", Tags(open="", close=""), prose, closed=True))
    else:
        scan.prose.append(prose)


def _without_half_tag(text: str, tags: Tags) -> str:
    """Drop a closing tag that the end of the reply cut in two."""
    text = text.rstrip()
    if tags.close.startswith("<"):
        for length in range(len(tags.close) - 1, 1, -1):
            if text.endswith(tags.close[:length]):
                return text[:-length]
    return text


def _complete(text: str, tags: Tags, *, closed: bool) -> str:
    """Return ``text`` with the closing tag that it lacks, or has the half of."""
    if closed:
        return f"{text}>" if tags.close and f"{text}>".endswith(tags.close) else text
    return f"{_without_half_tag(text, tags).rstrip()}\n{tags.close}"


def _untagged(thought: str) -> tuple[str, list[str], bool]:
    """Look for an action without tags: Python in fences, or nothing but a program."""
    fences = [fence for fence in fenced_blocks(thought) if fence.is_python]
    if fences:
        prose, position = [], 0
        for fence in fences:
            prose.append(thought[position : fence.start].strip())
            position = fence.end
        prose.append(thought[position:].strip())
        codes = [code for fence in fences if (code := extract_code(fence.code))]
        return "\n".join(part for part in prose if part), codes, fences[-1].closed
    if is_program(thought):
        return "", [extract_code(thought)], True
    return thought, [], True
