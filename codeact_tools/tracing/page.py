"""One self-contained page of a run: no other file, no request to another host, nothing of the run that is executed.

The page's own style and script stand in `assets`. What happened goes in as data: a JSON island that no parser takes for
markup, read by the script, which writes all of it as text. The page's content security policy names the style and the
script by their hashes and forbids everything else.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from string import Template
from typing import Any, Final

from ..dialects import DIALECTS
from ..events import Artifact, Recorded, Usage
from .tree import Action, Ask, Call, Note, Task, Trace, Turn, read_trace

__all__ = ["as_data", "render_html"]

IMAGES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml"})
"""What is shown as an image. An SVG, too, only ever comes into an ``<img>``, where its scripts do not run."""
STYLES: Final = ("page.css",)
SCRIPTS: Final = ("dom.js", "python.js", "values.js", "timeline.js", "turns.js", "search.js", "app.js")
_ESCAPES: Final = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def render_html(recorded: Iterable[Recorded], *, system_prompt: str = "") -> str:
    """Return the page of a run.

    Args:
        recorded: What `Journal.read` returns, or what a `Recorder` collected.
        system_prompt: Shown with the run, where it is given.

    Raises:
        ConfigurationError: There is no run among the events.
    """
    trace = read_trace(recorded)
    style, script = _asset(STYLES), _asset(SCRIPTS)
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return Template(_asset(("page.html",))).substitute(
        policy=html.escape(policy),
        title=html.escape(_one_line(trace.started.task)),
        task=html.escape(trace.started.task),
        answer=html.escape(_ending(trace)),
        style=style,
        data=island(as_data(trace, system_prompt=system_prompt)),
        script=script,
    )


def island(data: object) -> str:
    """``data`` as JSON that can stand between ``<script>`` tags, whatever is in it."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")  # lone surrogates become JSON's own escapes


@functools.cache
def _asset(names: tuple[str, ...]) -> str:
    folder = files("codeact_tools.tracing") / "assets"
    return "\n".join((folder / name).read_text(encoding="utf-8") for name in names)


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _one_line(text: str, most: int = 80) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _ending(trace: Trace) -> str:
    """What a reader without JavaScript learns about the end."""
    ending = trace.tasks[-1].ending
    match trace.state, ending:
        case "finished", _:
            return f"Answer: {getattr(ending, 'answer', '')}"
        case "open", _:
            return "The events end before the run does."
    return str(getattr(ending, "message", ""))


# ---- the data --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Clock:
    """Seconds since the start of the run, in which times when nothing worked on it take no time."""

    trace: Trace

    def __call__(self, at: float | None) -> float | None:
        if at is None:
            return None
        idle = sum(max(min(at, end) - start, 0.0) for start, end in self.trace.breaks)
        return round(at - self.trace.start - idle, 4)


def as_data(trace: Trace, *, system_prompt: str = "") -> dict[str, Any]:
    """The run as plain data for JSON: what the page is made of."""
    clock = _Clock(trace)
    started = trace.started
    return {
        "run": started.run_id,
        "model": started.model,
        "sandbox": started.sandbox,
        "dialect": started.dialect,
        "tools": list(started.tools),
        "choices": [choice.model_dump(mode="json") for choice in started.choices],
        "system": system_prompt,
        "state": trace.state,
        "started": datetime.fromtimestamp(trace.start, UTC).isoformat(timespec="seconds"),
        "seconds": round(trace.seconds, 4),
        "usage": _usage(trace.usage),
        "breaks": [{"at": clock(start), "seconds": round(end - start, 3)} for start, end in trace.breaks],
        "tasks": [_task(task, clock) for task in trace.tasks],
    }


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt": usage.prompt_tokens,
        "completion": usage.completion_tokens,
        "cached": usage.cached_tokens,
        "cost": usage.cost,
    }


def _task(task: Task, clock: _Clock) -> dict[str, Any]:
    ending = task.ending.model_dump(mode="json") if task.ending is not None else {}
    return {
        "task": task.task,
        "state": task.state,
        "answer": ending.get("answer"),
        "error": ending.get("error"),
        "message": ending.get("message"),
        "start": clock(task.start),
        "end": clock(task.end),
        "items": [_item(item, clock, task.started.dialect) for item in task.items],
    }


def _item(item: Turn | Note, clock: _Clock, dialect: str) -> dict[str, Any]:
    if isinstance(item, Note):
        return {"at": clock(item.at), **item.remark.model_dump(mode="json", exclude={"usage"})}
    return _turn(item, clock, dialect)


def _turn(turn: Turn, clock: _Clock, dialect: str) -> dict[str, Any]:
    text = turn.reply.text if turn.reply is not None else turn.written
    return {
        "type": "turn",
        "number": turn.number,
        "start": clock(turn.start),
        "replied": clock(turn.replied),
        "end": clock(turn.end),
        "text": text,
        "thought": DIALECTS.get(dialect, DIALECTS["chat"]).parse(text).thought,
        "usage": _usage(turn.reply.usage) if turn.reply is not None else None,
        "action": _action(turn.action, clock) if turn.action is not None else None,
    }


def _action(action: Action, clock: _Clock) -> dict[str, Any]:
    seen = action.observation
    return {
        "code": action.code,
        "start": clock(action.start),
        "checked": clock(action.checked_at),
        "end": clock(action.end),
        "findings": [each.model_dump(mode="json") for each in action.check.findings] if action.check else [],
        "effects": list(action.check.effects) if action.check else [],
        "read": seen.text if seen else None,
        "result": seen.result if seen else None,
        "stdout": seen.stdout if seen else action.output,
        "stderr": seen.stderr if seen else "",
        "error": seen.error.model_dump(mode="json") if seen and seen.error else None,
        "artifacts": [_artifact(each) for each in seen.artifacts] if seen else [],
        "calls": [_call(each, clock) for each in sorted(action.calls.values(), key=lambda call: call.record.id)],
    }


def _artifact(artifact: Artifact) -> dict[str, Any]:
    return {
        "name": artifact.name,
        "type": artifact.media_type,
        "image": artifact.media_type in IMAGES,
        "size": len(artifact.data),
        "data": base64.b64encode(artifact.data).decode(),
    }


def _call(call: Call, clock: _Clock) -> dict[str, Any]:
    return {
        **call.record.model_dump(mode="json"),
        "start": clock(call.start),
        "end": clock(call.end),
        "asks": [_ask(ask, clock) for ask in call.asks],
        "retries": [each.model_dump(mode="json", include={"attempt", "error", "seconds"}) for each in call.retries],
        "reports": [{"at": clock(at), "message": message} for at, message in call.reports],
    }


def _ask(ask: Ask, clock: _Clock) -> dict[str, Any]:
    decision = ask.decision.model_dump(mode="json", include={"verdict", "arguments", "by"}) if ask.decision else {}
    answered = ask.decision.reason if ask.decision else ""
    decided = datetime.fromtimestamp(ask.decided, UTC).isoformat(timespec="seconds") if ask.decided else None
    waited = ask.decided - ask.requested if ask.decided and ask.requested else None
    return {
        "requested": clock(ask.requested),
        "decided": clock(ask.decided),
        "when": decided,
        "waited": waited,
        "reason": ask.reason,
        "answered": answered,
        **decision,
    }
