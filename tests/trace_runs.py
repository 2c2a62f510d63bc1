"""Recorded runs to make traces of: one with everything that there is, one full of markup, a long one."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterator

from codeact_tools.events import (
    ActionChecked,
    ActionFinished,
    ActionStarted,
    ApprovalDecided,
    ApprovalRequested,
    Artifact,
    CallRecord,
    CallRetried,
    Choice,
    ContextTrimmed,
    Event,
    ExecutionError,
    Finding,
    LimitReached,
    Observation,
    OutputReceived,
    Recorded,
    ReplyFinished,
    RunFailed,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStarted,
    TextDelta,
    ToolCalled,
    ToolReported,
    ToolReturned,
    TurnStarted,
    Usage,
    WarningRaised,
)

START = 1_795_000_000.0
"""When the runs start; seconds since 1970."""


def png(width: int = 320, height: int = 180) -> bytes:
    """A picture: a curve over a grid."""
    rows = bytearray()
    for y in range(height):
        rows.append(0)
        for x in range(width):
            value = height - 20 - (x * x * (height - 40)) // (width * width)
            near = abs(y - value) < 3
            grid = x % 40 == 0 or y % 30 == 0
            rows += bytes((52, 80, 201) if near else (225, 229, 238) if grid else (255, 255, 255))
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
            _chunk(b"IDAT", zlib.compress(bytes(rows))),
            _chunk(b"IEND", b""),
        ]
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def opening(task: str, **more: object) -> RunStarted:
    """The first event."""
    values: dict[str, object] = {
        "run_id": "5f1c0a7e9d3b4c2f",
        "model": "Qwen2.5-Coder-1.5B-Instruct",
        "sandbox": "local (jail)",
        "dialect": "chat",
        "tools": ("shop.search_orders", "shop.refund", "shop.exchange_rate", "plot"),
        "choices": (
            Choice(name="embedded", reason="no key and no GPU here, so the embedded CPU model"),
            Choice(name="local", reason="no E2B key is set", warnings=("Landlock is off in this kernel",)),
        ),
    }
    return RunStarted.model_validate({"task": task, **values, **more})


class Clock:
    """Times of events."""

    def __init__(self) -> None:
        self.now = START
        self.recorded: list[Recorded] = []

    def __call__(self, after: float, event: Event) -> None:
        """``event`` happens so many seconds after the one before it."""
        self.now += after
        self.recorded.append(Recorded(self.now, event))


def reply(code: str, thought: str = "") -> str:
    """A turn of the model's."""
    return f"{thought}\n<execute>\n{code}\n</execute>".lstrip()


def raised(action: int, line: str, error: str) -> str:
    """A traceback as the model reads it."""
    return f'Traceback (most recent call last):\n  File "<action {action}>", line 2, in <module>\n    {line}\n{error}\n'


def full_run() -> list[Recorded]:
    """A run in which everything happens that can happen."""
    at = Clock()
    at(
        0,
        opening(
            "Which customers ordered shoes last week, what is the total in euros, and can the broken pair be refunded?"
        ),
    )
    at(
        0.01,
        WarningRaised(
            message="The tools' listing was shortened to 900 tokens: 3 of 40 tools appear without their full text."
        ),
    )
    _refused(at)
    _parallel(at)
    _approved(at)
    _failing(at)
    _plotted(at)
    at(0.02, TurnStarted(turn=6))
    usage = Usage(prompt_tokens=2210, completion_tokens=64, cached_tokens=2100, turns=1, cost=0.0021)
    at(
        1.4,
        ReplyFinished(
            text="Four customers ordered shoes; the total is 312.50 EUR, and order A17 is refunded.", usage=usage
        ),
    )
    total = Usage(prompt_tokens=8400, completion_tokens=612, cached_tokens=7100, turns=6, cost=0.0094)
    at(
        0.0,
        RunFinished(
            answer="Four customers ordered shoes; the total is 312.50 EUR, and order A17 is refunded.", usage=total
        ),
    )
    return at.recorded


def _refused(at: Clock) -> None:
    code = "orders = serch_orders('shoes', limit=500)\nprint(orders)"
    at(0.1, TurnStarted(turn=1))
    for piece in ("I look", " for the orders.\n<execute>"):
        at(0.1, TextDelta(text=piece))
    usage = Usage(prompt_tokens=1210, completion_tokens=80, turns=1, cost=0.0011)
    at(1.2, ReplyFinished(text=reply(code, "I look for the orders."), usage=usage))
    at(0.001, ActionStarted(code=code))
    findings = (
        Finding(
            kind="name",
            message="'serch_orders' is not defined",
            line=1,
            column=10,
            end_column=22,
            hint="Did you mean search_orders(query: str, limit: int = 20) -> list[Order]?",
        ),
        Finding(kind="constraint", message="limit must be at most 100", line=1, column=32, end_column=41),
    )
    at(0.024, ActionChecked(findings=findings, seconds=0.024))
    text = "The action was not run; nothing happened. Repair it:\nline 1: 'serch_orders' is not defined"
    error = ExecutionError(kind="check", name="CheckFailed", message=text)
    at(0.001, ActionFinished(observation=Observation(text=text, error=error, findings=findings, seconds=0.03)))


def _call(number: int, tool: str, **more: object) -> CallRecord:
    return CallRecord.model_validate({"id": number, "tool": tool, **more})


ORDERS = [
    {"id": f"A{number}", "customer": name, "item": "shoes", "total": total, "placed": f"2026-11-{number:02}"}
    for number, name, total in (
        (14, "Ada Lovelace", 89.5),
        (15, "Grace Hopper", 120.0),
        (17, "Alan Turing", 42.0),
        (18, "Kurt Gödel", 61.0),
    )
]


def _parallel(at: Clock) -> None:
    code = (
        "import asyncio\n\norders = search_orders('shoes')\n"
        "rates = await asyncio.gather(*(exchange_rate(c, 'EUR') for c in ('USD', 'GBP', 'CHF')))\n"
        'for order, rate in zip(orders, rates):\n    print(f"{order.id}: {order.total * rate:.2f}")  # in euros'
    )
    at(0.05, TurnStarted(turn=2))
    usage = Usage(prompt_tokens=1390, completion_tokens=130, cached_tokens=1200, turns=1, cost=0.0015)
    at(2.1, ReplyFinished(text=reply(code, "The name was wrong. Now the rates, all at once."), usage=usage))
    at(0.001, ActionStarted(code=code))
    at(0.031, ActionChecked(effects=(), seconds=0.031))
    search = _call(1, "shop.search_orders", arguments={"query": "shoes", "limit": 20})
    at(0.01, ToolCalled(call=search))
    search = search.model_copy(update={"result": ORDERS, "seconds": 0.22})
    at(0.22, ToolReturned(call=search))
    calls = [
        _call(number, "shop.exchange_rate", arguments={"source": source, "target": "EUR"})
        for number, source in ((2, "USD"), (3, "GBP"), (4, "CHF"))
    ]
    for call in calls:
        at(0.004, ToolCalled(call=call))
    at(0.1, CallRetried(call_id=3, tool="shop.exchange_rate", attempt=1, error="RateLimited: 429", seconds=0.2))
    ended = []
    for call, after, rate in zip(calls, (0.15, 0.1, 0.3), (0.92, 1.17, 1.05), strict=True):
        ended.append(call.model_copy(update={"result": rate, "seconds": after + 0.2}))
        at(after, ToolReturned(call=ended[-1]))
    printed = "A14: 82.34\nA15: 140.40\nA17: 44.10\n"
    at(0.002, OutputReceived(text=printed))
    observation = Observation(text=printed, stdout=printed, calls=(search, *ended), seconds=1.0)
    at(0.01, ActionFinished(observation=observation))


def _approved(at: Clock) -> None:
    code = "refund('A17', amount=42.0)\nrefund('A99', amount=9000.0)"
    at(0.03, TurnStarted(turn=3))
    usage = Usage(prompt_tokens=1620, completion_tokens=60, cached_tokens=1500, turns=1, cost=0.0012)
    at(1.1, ReplyFinished(text=reply(code), usage=usage))
    at(0.001, ActionStarted(code=code))
    at(0.02, ActionChecked(effects=("shop.refund",), seconds=0.02))
    first = _call(5, "shop.refund", arguments={"order": "A17", "amount": 42.0})
    at(0.01, ApprovalRequested(call=first, reason="refund moves money"))
    at(
        0.01,
        RunPaused(
            run_id="5f1c0a7e9d3b4c2f", waiting=(first,), message="shop.refund waits for a decision.", usage=Usage()
        ),
    )
    at(180_000, RunResumed(run_id="5f1c0a7e9d3b4c2f", actions=1, calls=4))
    at(
        0.4,
        ApprovalDecided(
            call_id=5,
            tool="shop.refund",
            verdict="allow",
            arguments={"order": "A17", "amount": 40.0},
            reason="without postage",
            by="maria",
        ),
    )
    first = first.model_copy(update={"arguments": {"order": "A17", "amount": 40.0}})
    at(0.001, ToolCalled(call=first))
    at(0.2, ToolReported(call_id=5, tool="shop.refund", message="bank has answered"))
    first = first.model_copy(
        update={
            "result": {"ok": True, "reference": "R-551", "lines": [{"text": "refund", "amount": -40.0}]},
            "seconds": 0.5,
        }
    )
    at(0.3, ToolReturned(call=first))
    second = _call(6, "shop.refund", arguments={"order": "A99", "amount": 9000.0})
    at(0.01, ApprovalRequested(call=second, reason="refund moves money"))
    at(3.0, ApprovalDecided(call_id=6, tool="shop.refund", verdict="deny", reason="no such order", by="terminal"))
    second = second.model_copy(update={"error": "ToolDenied: The call of shop.refund was not approved: no such order."})
    at(0.001, ToolReturned(call=second))
    trace = raised(
        3, "refund('A99', amount=9000.0)", "ToolDenied: The call of shop.refund was not approved: no such order."
    )
    error = ExecutionError(
        kind="tool",
        name="ToolDenied",
        message="The call of shop.refund was not approved: no such order.",
        traceback=trace,
    )
    at(0.001, ActionFinished(observation=Observation(text=trace, error=error, calls=(first, second), seconds=4.0)))
    at(0.001, LimitReached(limit="calls of shop.refund", message="shop.refund may be called twice in a run, and was."))


def _failing(at: Clock) -> None:
    code = "totals = {order.customer: order.total for order in orders}\nprint(totals['Alonzo Church'])"
    at(
        0.02,
        ContextTrimmed(
            shortened=2,
            summarised=1,
            tokens_before=3900,
            tokens_after=2100,
            message="The conversation took 3,900 of its 4,096 tokens: a line each now stands for 1 older turn.",
        ),
    )
    at(0.01, TurnStarted(turn=4))
    at(
        1.6,
        ReplyFinished(
            text=reply(code),
            usage=Usage(prompt_tokens=1800, completion_tokens=70, cached_tokens=1700, turns=1, cost=0.0014),
        ),
    )
    at(0.001, ActionStarted(code=code))
    at(
        0.02,
        ActionChecked(
            findings=(
                Finding(
                    kind="key", severity="warning", message="the key may be missing", line=2, column=7, end_column=30
                ),
            ),
            seconds=0.02,
        ),
    )
    trace = raised(4, "print(totals['Alonzo Church'])", "KeyError: 'Alonzo Church'")
    error = ExecutionError(kind="python", name="KeyError", message="'Alonzo Church'", traceback=trace)
    at(0.05, ActionFinished(observation=Observation(text=trace, error=error, seconds=0.05)))


SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="120" height="60"><script>window.hacked = 1</script>'
    b'<rect width="120" height="60" fill="#0b8f6c"/></svg>'
)


def _plotted(at: Clock) -> None:
    code = "plot([order.total for order in orders], 'totals.png')\nlen(orders)"
    at(0.02, TurnStarted(turn=5))
    at(
        1.3,
        ReplyFinished(
            text=reply(code, "A picture of it."),
            usage=Usage(prompt_tokens=1990, completion_tokens=60, cached_tokens=1900, turns=1, cost=0.0013),
        ),
    )
    at(0.001, ActionStarted(code=code))
    at(0.02, ActionChecked(seconds=0.02))
    artifacts = (
        Artifact(name="totals.png", media_type="image/png", data=png()),
        Artifact(name="mark.svg", media_type="image/svg+xml", data=SVG),
        Artifact(name="report/orders.csv", media_type="text/csv", data=b"id,total\nA14,89.5\n"),
        Artifact(name="page.html", media_type="text/html", data=b"<script>window.hacked = 2</script>"),
    )
    text = "4\n[files: totals.png, mark.svg, report/orders.csv, page.html]"
    at(
        0.4,
        ActionFinished(
            observation=Observation(
                text=text, result="4", stderr="UserWarning: few points\n", artifacts=artifacts, seconds=0.4
            )
        ),
    )


EVIL = "</script><script>window.hacked = 3</script><img src=x onerror='window.hacked = 4'>\"'`${7*7}&amp;\u2028<!--]]>"
"""Markup where only text belongs."""


def hostile_run() -> list[Recorded]:
    """A run in which every text is markup."""
    at = Clock()
    at(
        0,
        opening(
            EVIL,
            run_id=EVIL,
            model=EVIL,
            sandbox=EVIL,
            dialect=EVIL,
            tools=(EVIL,),
            choices=(Choice(name=EVIL, reason=EVIL, warnings=(EVIL,)),),
        ),
    )
    at(0.1, WarningRaised(message=EVIL))
    at(0.1, TurnStarted(turn=1))
    at(1, ReplyFinished(text=reply(EVIL, EVIL), usage=Usage()))
    at(0.1, ActionStarted(code=EVIL))
    finding = Finding(kind="syntax", severity="warning", message=EVIL, hint=EVIL)
    at(0.1, ActionChecked(findings=(finding,), effects=(EVIL,)))
    call = _call(1, EVIL, arguments={EVIL: EVIL, "rows": [{EVIL: EVIL}, {EVIL: EVIL}], "deep": {EVIL: {EVIL: [EVIL]}}})
    at(0.1, ApprovalRequested(call=call, reason=EVIL))
    at(0.1, ApprovalDecided(call_id=1, tool=EVIL, verdict="allow", arguments={EVIL: EVIL}, reason=EVIL, by=EVIL))
    at(0.1, ToolCalled(call=call))
    at(0.1, ToolReported(call_id=1, tool=EVIL, message=EVIL))
    at(0.1, CallRetried(call_id=1, tool=EVIL, attempt=1, error=EVIL, seconds=0.1))
    call = call.model_copy(update={"result": EVIL, "seconds": 0.3})
    at(0.1, ToolReturned(call=call))
    artifacts = (
        Artifact(name=EVIL, media_type="image/svg+xml", data=SVG),
        Artifact(name=f"x{EVIL}.html", media_type=EVIL, data=EVIL.encode()),
        Artifact(name="../../x.png", media_type="image/png", data=png(8, 8)),
    )
    error = ExecutionError(kind="python", name=EVIL, message=EVIL, traceback=EVIL)
    observation = Observation(
        text=EVIL,
        result=EVIL,
        stdout=EVIL,
        stderr=EVIL,
        error=error,
        findings=(finding,),
        calls=(call,),
        artifacts=artifacts,
    )
    at(0.1, ActionFinished(observation=observation))
    at(0.1, LimitReached(limit=EVIL, message=EVIL))
    at(0.1, RunFailed(error=EVIL, message=EVIL, usage=Usage()))
    return at.recorded


def long_run(turns: int = 500, chars: int = 9000) -> list[Recorded]:
    """A run of many turns with much output."""
    return list(_long(turns, chars))


def _long(turns: int, chars: int) -> Iterator[Recorded]:
    at = Clock()
    at(0, opening("Read all pages and count the words."))
    line = "the quick brown fox jumps over the lazy dog 0123456789\n"
    for number in range(1, turns + 1):
        code = f"page_{number} = search_orders('page {number}')\nprint(page_{number})\n" + "total += 1\n" * 10
        at(0.01, TurnStarted(turn=number))
        at(
            0.8,
            ReplyFinished(
                text=reply(code, f"Page {number}."),
                usage=Usage(prompt_tokens=900 + number, completion_tokens=60, turns=1),
            ),
        )
        at(0.01, ActionStarted(code=code))
        at(0.02, ActionChecked(seconds=0.02))
        call = _call(number, "shop.search_orders", arguments={"query": f"page {number}"})
        at(0.01, ToolCalled(call=call))
        call = call.model_copy(update={"result": f"needle-{number} {line}", "seconds": 0.1})
        at(0.1, ToolReturned(call=call))
        output = line * (chars // len(line))
        at(0.1, ActionFinished(observation=Observation(text=output[:500], stdout=output, calls=(call,), seconds=0.3)))
    at(
        0.1,
        RunFinished(
            answer={"words": 12345, "pages": turns},
            usage=Usage(prompt_tokens=500_000, completion_tokens=30_000, turns=turns),
        ),
    )
    yield from at.recorded


def data_uri(data: bytes, media_type: str) -> str:
    """As the page shows an image."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
