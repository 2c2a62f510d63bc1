"""Read a model's reply: what it thinks, the code that it wants to run, or its final answer.

Models and servers break every form that there is; what the recorded turns of real models show is accepted: a block
closed by its tag, by a half tag, by a stop string that the server dropped or by the end of the text; several blocks;
markdown fences inside the tags or instead of them; indentation; stray tags; leaked template tokens; an observation
that the model invents after its own action.

The work is linear in the length of the reply: one pass finds every marker, a state machine goes over the markers.
"""

from __future__ import annotations

import functools
import html
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from .pycode import extract_code, fenced_blocks, is_program, is_prose, literal_final_answer, parses

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
    """``action`` or ``answer``: an opening tag; ``close``; ``misspelt``: what may be meant for a closing tag;
    ``invented``: the head of an observation, or the next speaker; ``foreign``: that of another dialect."""
    start: int
    end: int
    line_start: bool
    tags: Tags = Tags(open="", close="")
    """Of an opening tag."""

    @property
    def opens(self) -> bool:
        return self.kind in {"action", "answer"}

    @property
    def invented(self) -> bool:
        return self.kind in {"invented", "foreign"}


class _Ending(NamedTuple):
    """Where a block ends."""

    opened: _Marker
    """The tag that counts, where several open it."""
    at: int
    """End of the content."""
    position: int
    """Where reading goes on."""
    number: int
    """The first marker that is not read yet."""
    closed: bool = True
    last: bool = False
    """Whether the model's turn ends here."""


@dataclass(slots=True)
class _Block:
    kind: str
    tags: Tags
    content: str
    closed: bool
    inline: bool = False
    """Whether it was opened behind other words, so that it may only mention the tag."""


@dataclass(slots=True)
class _Scan:
    """What the state machine found."""

    end: int
    """Where the model's own turn ends."""
    blocks: list[_Block] = field(default_factory=list)
    prose: list[str] = field(default_factory=list)


_MOST_TRIES = 4
"""Closing tags of one block that may stand in a string of its code, before the first is taken."""

_TURN_ENDS = re.compile(
    r"<\|(?:im_end|im_start|endoftext|eot_id|end_of_text|end)\|>|<end_of_turn>|<\|[a-z_]*\|?\Z"
    r"|</s>(?=\s*(?:<s>|\[INST\]|\Z))|(?:(?<=\s)|(?<=>)|^)\[/?INST\]"
)
_TURN_START = re.compile(r"\s*(?:<s>\s*)?(?:<\|im_start\|>\s*(?:assistant\b)?\s*)*")
_THINKING = re.compile(r"\s*<think(?:ing)?>")
_THINKING_ENDS = re.compile(r"</think(?:ing)?>(?!['\"`])")
_FOREIGN = r"(?:Execution Output|Observation|Output|Expert feedback|(?:### ?)?(?:User|Human)):"
"""How other dialects and templates go on after an action."""
_MISSPELT = r"(?:^|(?<=\n))[ \t]*<[/\\] ?\w+>|<[/\\]ex\w*>"
_QUOTED = re.compile(r"`(?=[^`\n])")
_SENTENCE_BEGINS = re.compile(r"[A-Z][\w ,.:;-]*")


_NAME_AND_REMARK = re.compile(r"[A-Z]\w* \(.*\)")
"""``Paris (France)`` parses as a call."""
_HALF_SPELT = re.compile(r"\s*<[/\\]?(?:sol|ex)\w*>?\Z")
"""What stands at the end of an open block and may be meant for the closing tag."""


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
    actions, answers = tuple(dict.fromkeys(actions)), tuple(dict.fromkeys(answers))
    text = _own_turn(_unescaped(text, (*actions, *answers)))
    half_opened, text = _without_half_opening(text, actions)
    scan = _scan(text, list(_markers(text, actions, answers, tuple(invented))))
    thought = "\n".join(part for part in (piece.strip() for piece in scan.prose) if part)
    codes = [code for block in scan.blocks if block.kind == "action" and (code := extract_code(block.content))]
    answer = next((b.content.strip() for b in reversed(scan.blocks) if b.kind == "answer" and b.content.strip()), None)
    closed = scan.blocks[-1].closed if scan.blocks else not half_opened
    own = text[: scan.end].strip()
    if scan.blocks and scan.blocks[-1].kind == "action":
        own = _complete(own, scan.blocks[-1].tags, closed=closed)
    if not codes and answer is None and closed:
        thought, codes, closed = _untagged(thought)
    if answer_calls and len(codes) == 1 and answer is None and (literal := literal_final_answer(codes[0])) is not None:
        return Reply(thought=thought, answer=literal, closed=closed, text=own)
    if codes:
        return Reply(thought=thought, actions=tuple(codes), draft=answer, closed=closed, text=own)
    if answer is None and plain_answer and closed:
        answer = thought or None
    return Reply(thought=thought, answer=answer, closed=closed, text=own)


def _unescaped(text: str, tags: Sequence[Tags]) -> str:
    """Undo HTML's entities where something on the way has escaped the tags themselves."""
    whole = "<" not in text and any(html.escape(tag.open) in text for tag in tags if tag.open.startswith("<"))
    return html.unescape(text) if whole else text


def _own_turn(text: str) -> str:
    """Cut off reasoning, leaked template tokens, and what a model writes in the name of the next speaker."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if (started := _TURN_START.match(text)) is not None:
        text = text[started.end() :]
    if (thinking := _THINKING_ENDS.search(text)) is not None:
        text = text[thinking.end() :]
    elif _THINKING.match(text) is not None:
        return ""
    if (ends := _TURN_ENDS.search(text)) is not None:
        text = text[: ends.start()]
    return text.rstrip()


def _tag_pattern(tag: str, *, closing: bool) -> str:
    """Return a pattern for ``tag`` that allows for case and spaces, and for a closing tag without its ``>``."""
    if tag.startswith("<"):
        name = re.escape(tag.strip("</>")) + "(?:_i?python)?"
        return rf"<[ ]?/[ ]?{name}\b[ ]?>?" if closing else rf"<[ ]?{name}(?:[ ][^<>\n]{{0,80}}|/)?>"
    if tag.startswith("`"):
        return r"(?!)"  # fences are read line by line, in a second pass
    return rf"(?:^|(?<=\n))[ \t]*(?:\*\*)?{re.escape(tag)}(?:\*\*)?"


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
    parts.append(rf"(?P<foreign>(?:^|(?<=[\n>]))[ \t]*(?:{_FOREIGN}))")
    parts.append(rf"(?P<misspelt>{_MISSPELT})")
    return re.compile("|".join(parts), re.IGNORECASE)


def _markers(
    text: str, actions: tuple[Tags, ...], answers: tuple[Tags, ...], invented: tuple[str, ...]
) -> Iterator[_Marker]:
    groups = {"action": actions, "answer": answers}
    for match in _marker_pattern(actions, answers, invented).finditer(text):
        name = match.lastgroup or ""
        line_start = match.start() == 0 or text[match.start() - 1] == "\n"
        if _QUOTED.match(text, match.end()) and text[match.start() - 1 : match.start()] == "`":
            continue
        if name in {"invented", "foreign", "misspelt"} or name.startswith("close_"):
            yield _Marker(name.partition("_")[0], match.start(), match.end(), line_start)
        else:
            kind, _, number = name.partition("_")
            yield _Marker(kind, match.start(), match.end(), line_start, groups[kind][int(number)])


def _scan(text: str, markers: Sequence[_Marker]) -> _Scan:
    """Go over the markers and cut ``text`` into prose and blocks."""
    scan = _Scan(end=len(text))
    position = number = 0
    fence = text.find("```")
    while number < len(markers):
        marker = markers[number]
        number += 1
        if marker.start < position or marker.kind == "misspelt":
            continue
        if marker.invented and not scan.blocks:
            begun = 0 <= fence < marker.start if marker.kind == "foreign" else bool(text[: marker.start].strip())
            if not begun:  # without an action before it, it is no invention
                continue
        _add_prose(scan, text[position : marker.start], stray_close=marker.kind == "close")
        if marker.invented:
            scan.end = marker.start
            break
        position = marker.end
        if marker.opens:
            ending = _ending(text, markers, number, marker)
            opened, position, number = ending.opened, ending.position, ending.number
            content = text[opened.end : ending.at]
            if ending.last and not ending.closed:
                content = _without_half_tag(content, opened.tags)
            scan.blocks.append(_Block(opened.kind, opened.tags, content, ending.closed, inline=not opened.line_start))
            if ending.last:
                scan.end = ending.at
                break
    else:
        _add_prose(scan, text[position:], stray_close=False)
    _drop_mentions(scan)
    return scan


def _ending(text: str, markers: Sequence[_Marker], number: int, opened: _Marker) -> _Ending:
    """Find where the block that ``opened`` opens ends; ``number`` is the marker behind it.

    What looks like the closing tag, or the head of an observation, may stand in a string of the code. It does where
    the code parses up to a later closing tag, and not up to this one.
    """
    closing: int | None = None
    doubt: int | None = None
    tries = _MOST_TRIES
    for place in range(number, len(markers)):
        marker = markers[place]
        code = text[opened.end : marker.start]
        if marker.invented:
            if closing is not None:
                break
            doubt = marker.start if doubt is None else doubt
        elif marker.opens:
            if not code.strip() and closing is None:
                opened = marker
            elif opened.kind == marker.kind == "answer":
                if place + 1 == len(markers) or markers[place + 1].kind != "close":
                    return _Ending(opened, marker.start, marker.end, place + 1)  # it was meant to close
                opened = marker  # the first was only mentioned
            elif marker.line_start or (marker.kind == "answer" and _in_sentence(code)):
                if closing is not None:
                    break
                at = text.rfind("\n", 0, marker.start) + 1
                return _Ending(opened, at, at, place, closed=False)
        elif opened.kind == "answer":
            if marker.kind == "close" and doubt is None:
                return _Ending(opened, marker.start, marker.end, place + 1)
        elif (tries > 0 or (doubt is not None and marker.kind == "close")) and (
            parses(code) or (marker.kind == "misspelt" and parses(extract_code(code)))
        ):
            return _Ending(opened, marker.start, marker.end, place + 1)
        elif marker.kind == "close" and doubt is not None:
            break
        else:
            tries -= 1
            if marker.kind == "close" and closing is None:
                closing = place
            if tries <= 0 and closing is not None:
                break
    if closing is not None:
        return _Ending(opened, markers[closing].start, markers[closing].end, closing + 1)
    end = len(text) if doubt is None else doubt
    return _Ending(opened, end, end, len(markers), closed=not opened.tags.close, last=True)


def _in_sentence(before: str) -> bool:
    """Whether what stands at the end of ``before`` is the beginning of a sentence on a line of its own."""
    _, newline, line = before.rpartition("\n")
    return bool(newline and _SENTENCE_BEGINS.fullmatch(line))


def _drop_mentions(scan: _Scan) -> None:
    """Take out the blocks that are only prose, where there are others: their tag was mentioned, not used."""
    mentions = [block.kind == "action" and _is_mention(block) for block in scan.blocks]
    if any(block.content.strip() and not mention for block, mention in zip(scan.blocks, mentions, strict=True)):
        scan.prose += [block.content for block, mention in zip(scan.blocks, mentions, strict=True) if mention]
        scan.blocks = [block for block, mention in zip(scan.blocks, mentions, strict=True) if not mention]


def _is_mention(block: _Block) -> bool:
    lines = block.content.strip().splitlines()
    return ((block.inline and len(lines) == 1) or all(map(is_prose, lines))) and not parses(block.content)


def _add_prose(scan: _Scan, prose: str, *, stray_close: bool) -> None:
    """Keep ``prose``; a program that ends with a closing tag and never opened one is an action."""
    if stray_close and is_program(code := extract_code(prose)):
        scan.blocks.append(_Block("action", Tags(open="", close=""), code, closed=True))
    else:
        scan.prose.append(prose)


def _without_half_tag(text: str, tags: Tags) -> str:
    """Drop a closing tag that the end of the reply cut in two."""
    text = text.rstrip()
    if tags.close.startswith("<"):
        for length in range(len(tags.close) - 1, 0, -1):
            if text.endswith(tags.close[:length]):
                return text[:-length]
    return _HALF_SPELT.sub("", text)


def _without_half_opening(text: str, actions: Sequence[Tags]) -> tuple[bool, str]:
    """Drop an opening tag that the end of the reply cut in two, and say whether there was one."""
    start = text.rfind("\n") + 1
    last = text[start:].lstrip()
    half = len(last) > 1 and last[0] == "<" and any(tags.open[:-1].startswith(last) for tags in actions)
    return half, text[:start].rstrip() if half else text


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
    if is_program(thought) and not _NAME_AND_REMARK.fullmatch(thought.strip()):
        return "", [extract_code(thought)], True
    return thought, [], True
