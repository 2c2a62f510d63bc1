"""Spans of a run: names, parents, times and attributes, with the real SDK and a real receiver on loopback."""

from __future__ import annotations

import gzip
import http.server
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra 'otel' is not installed")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes

from codeact_tools.errors import ConfigurationError
from codeact_tools.events import EVENT_ADAPTER, Recorded
from codeact_tools.tracing import Recorder
from codeact_tools.tracing.otel import CAPTURE_CONTENT, OpenTelemetrySink, export
from codeact_tools.tracing.otlp import in_short, send

from .trace_runs import START, full_run, hostile_run, long_run

if TYPE_CHECKING:
    from codeact_tools import CodeActAgent


class Spans:
    """What a provider has got."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def all(self) -> list[ReadableSpan]:
        """In the order in which they started."""
        return sorted(self._exporter.get_finished_spans(), key=lambda span: (span.start_time or 0, span.name))

    def named(self, name: str) -> list[ReadableSpan]:
        """Those of a name."""
        return [span for span in self.all() if span.name == name]

    def parent(self, span: ReadableSpan) -> ReadableSpan | None:
        """The span around it."""
        if span.parent is None:
            return None
        return next(each for each in self.all() if each.context.span_id == span.parent.span_id)

    def path(self, span: ReadableSpan) -> str:
        """Its names from the root on."""
        around = self.parent(span)
        return span.name if around is None else f"{self.path(around)}/{span.name}"


@pytest.fixture
def spans() -> Spans:
    """A provider that keeps its spans."""
    return Spans()


def attributes(span: ReadableSpan) -> dict[str, Any]:
    """Those of a span."""
    return dict(span.attributes or {})


def seconds(span: ReadableSpan) -> tuple[float, float]:
    """Start and end since the start of the recorded run."""
    return ((span.start_time or 0) / 1e9 - START, (span.end_time or 0) / 1e9 - START)


def test_a_run_becomes_a_tree(spans: Spans) -> None:
    """Run, turns, replies, actions, checks and calls, each inside what it belongs to."""
    export(full_run(), spans.provider)
    paths = [spans.path(span) for span in spans.all()]
    model = "chat Qwen2.5-Coder-1.5B-Instruct"
    assert paths.count("invoke_agent") == 2  # before and after the pause
    assert paths.count(f"invoke_agent/turn/{model}") == 6
    assert paths.count("invoke_agent/turn/action/check") == 5
    assert paths.count("invoke_agent/turn/action/execute_tool shop.exchange_rate") == 3
    assert "invoke_agent/action/execute_tool shop.refund" in paths  # in the part after the pause


def test_times_are_those_of_then(spans: Spans) -> None:
    """Also of calls at the same time, which overlap."""
    export(full_run(), spans.provider)
    calls = [seconds(span) for span in spans.named("execute_tool shop.exchange_rate")]
    assert [round(end - start, 3) for start, end in calls] == [0.258, 0.354, 0.65]
    assert max(start for start, _ in calls) < min(end for _, end in calls)
    first = spans.all()[0]
    assert seconds(first)[0] == pytest.approx(0.0, abs=1e-6)


def test_attributes_follow_the_conventions(spans: Spans) -> None:
    """Names that the package of the conventions has, with the values that they ask for."""
    export(full_run(), spans.provider, agent_name="shopkeeper", provider_name="openai")
    known = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI_")}
    for span in spans.all():
        assert {name for name in attributes(span) if name.startswith("gen_ai.")} <= known, span.name
    [run, _] = spans.named("invoke_agent shopkeeper")
    assert attributes(run)["gen_ai.operation.name"] == "invoke_agent"
    assert attributes(run)["gen_ai.agent.name"] == "shopkeeper"
    assert attributes(run)["gen_ai.conversation.id"] == "5f1c0a7e9d3b4c2f"
    chat = attributes(spans.named("chat Qwen2.5-Coder-1.5B-Instruct")[1])
    assert chat["gen_ai.operation.name"] == "chat"
    assert chat["gen_ai.provider.name"] == "openai"
    assert (chat["gen_ai.usage.input_tokens"], chat["gen_ai.usage.output_tokens"]) == (1390, 130)
    assert chat["gen_ai.usage.cache_read.input_tokens"] == 1200
    assert spans.named("chat Qwen2.5-Coder-1.5B-Instruct")[1].kind.name == "CLIENT"
    call = attributes(spans.named("execute_tool shop.search_orders")[0])
    assert call["gen_ai.operation.name"] == "execute_tool"
    assert (call["gen_ai.tool.name"], call["gen_ai.tool.type"], call["gen_ai.tool.call.id"]) == (
        "shop.search_orders",
        "function",
        "1",
    )


def test_errors_have_a_type_and_a_status(spans: Spans) -> None:
    """A refused action, a denied call, an exception, a failed run; the rest is not set, as the conventions want it."""
    export(full_run(), spans.provider)
    types = [attributes(span).get("error.type") for span in spans.named("action")]
    assert types == ["CheckFailed", None, None, "ToolDenied", "KeyError", None]
    denied = spans.named("execute_tool shop.refund")[1]
    assert attributes(denied)["error.type"] == "ToolDenied"
    assert denied.status.status_code.name == "ERROR"
    assert spans.named("execute_tool shop.search_orders")[0].status.status_code.name == "UNSET"


def test_a_pause_ends_one_tree_and_links_the_next(spans: Spans) -> None:
    """A run that waits for days does not keep a span open for days."""
    export(full_run(), spans.provider)
    before, after = spans.named("invoke_agent")
    assert attributes(before)["codeact.paused"] is True
    assert attributes(after)["codeact.resumed"] is True
    assert [link.context.span_id for link in after.links] == [before.context.span_id]
    assert seconds(after)[0] - seconds(before)[1] == pytest.approx(180_000, abs=0.001)


def test_approvals_retries_and_limits_are_events(spans: Spans) -> None:
    """On the span that they concern."""
    export(full_run(), spans.provider)
    retried = spans.named("execute_tool shop.exchange_rate")[1]
    assert [(event.name, dict(event.attributes or {})["error.type"]) for event in retried.events] == [
        ("codeact.retry", "RateLimited")
    ]
    names = [event.name for span in spans.all() for event in span.events]
    assert {
        "codeact.approval.requested",
        "codeact.approval.decided",
        "codeact.limit_reached",
        "codeact.context_trimmed",
        "codeact.warning_raised",
        "codeact.progress",
    } <= set(names)
    decided = [
        dict(event.attributes or {})
        for span in spans.all()
        for event in span.events
        if event.name == "codeact.approval.decided"
    ]
    assert [
        (each["codeact.approval.verdict"], each["codeact.approval.by"], each["codeact.approval.edited"])
        for each in decided
    ] == [("allow", "maria", True), ("deny", "terminal", False)]


def test_nothing_that_was_written_is_captured_by_default(spans: Spans) -> None:
    """No text of people, models or tools is in any span: names of tools and numbers only."""
    export(full_run(), spans.provider)
    text = "".join(str(span.to_json()) for span in spans.all())
    for secret in (
        "customers",
        "serch_orders",
        "Ada Lovelace",
        "Alonzo",
        "A14",
        "USD",
        "postage",
        "no such order",
        "bank",
        "listing",
    ):
        assert secret not in text.replace("Qwen2.5", ""), secret


@pytest.mark.parametrize(
    ("setting", "captured"),
    [
        ("true", True),
        ("SPAN_ONLY", True),
        ("span_and_event", True),
        ("false", False),
        ("EVENT_ONLY", False),
        ("", False),
    ],
)
def test_content_is_captured_where_the_environment_says_so(
    spans: Spans, monkeypatch: pytest.MonkeyPatch, setting: str, captured: bool
) -> None:
    """With the variable that all instrumentations read."""
    monkeypatch.setenv(CAPTURE_CONTENT, setting)
    export(full_run(), spans.provider)
    call = attributes(spans.named("execute_tool shop.search_orders")[0])
    assert ("gen_ai.tool.call.arguments" in call) is captured
    assert ("gen_ai.tool.call.result" in call) is captured


def test_captured_messages_have_the_conventions_form(spans: Spans) -> None:
    """Role and parts, as JSON; what the model reads is the task first, then each observation."""
    export(full_run(), spans.provider, capture_content=True)
    chats = [attributes(span) for span in spans.named("chat Qwen2.5-Coder-1.5B-Instruct")]
    [task] = json.loads(chats[0]["gen_ai.input.messages"])
    assert task["role"] == "user"
    assert task["parts"][0]["content"].startswith("Which customers")
    [said] = json.loads(chats[0]["gen_ai.output.messages"])
    assert said["role"] == "assistant"
    assert said["finish_reason"] == "stop"
    assert "serch_orders" in said["parts"][0]["content"]
    [observed] = json.loads(chats[1]["gen_ai.input.messages"])
    assert observed["parts"][0]["content"].startswith("The action was not run")
    [answered] = json.loads(attributes(spans.named("invoke_agent")[-1])["gen_ai.output.messages"])
    assert answered["parts"][0]["content"].startswith("Four customers")
    assert json.loads(attributes(spans.named("execute_tool shop.exchange_rate")[0])["gen_ai.tool.call.arguments"]) == {
        "source": "USD",
        "target": "EUR",
    }


@pytest.mark.parametrize("kept", [3, 8, 17, 36])
def test_a_run_that_broke_off_leaves_no_span_open(spans: Spans, kept: int) -> None:
    """All that started is ended at the last thing that is known."""
    recorded = full_run()[:kept]
    export(recorded, spans.provider)
    ends = [(span.end_time or 0) / 1e9 for span in spans.all()]
    assert max(ends) == pytest.approx(recorded[-1].at)
    assert attributes(spans.named("invoke_agent")[-1])["codeact.unfinished"] is True
    assert all(span.parent is None or spans.parent(span) is not None for span in spans.all())


def test_a_clock_that_is_set_back_does_no_harm(spans: Spans) -> None:
    """No span ends before it starts."""
    recorded = [each._replace(at=each.at - (3600 if place > 12 else 0)) for place, each in enumerate(full_run())]
    export(recorded, spans.provider)
    assert all((span.start_time or 0) <= (span.end_time or 0) for span in spans.all())


def test_a_long_run_and_a_run_full_of_markup(spans: Spans) -> None:
    """Nothing is lost, nothing breaks."""
    export(long_run(turns=50, chars=100), spans.provider)
    export(hostile_run(), spans.provider, capture_content=True)
    assert len(spans.named("turn")) == 51


def test_a_live_run_hangs_below_the_span_that_is_current(spans: Spans, agent: CodeActAgent) -> None:
    """An application sees the run inside its own trace."""
    tracer = spans.provider.get_tracer("app")
    recorder = Recorder()
    with tracer.start_as_current_span("request"):
        sink = OpenTelemetrySink(spans.provider)

        def both(event: Any) -> None:
            sink.on_event(event)
            recorder.on_event(event)

        agent.run("Which weekday is Christmas Eve?", on_event=both)
    call = spans.named("execute_tool calendar.weekday")[0]
    assert spans.path(call) == "request/invoke_agent/turn/action/execute_tool calendar.weekday"
    inside, around = seconds(call), seconds(spans.named("action")[0])
    assert around[0] <= inside[0] <= inside[1] <= around[1]
    assert len({span.context.trace_id for span in spans.all()}) == 1
    later = Spans()
    export(recorder.recorded, later.provider)
    assert sorted(span.name for span in later.all()) == sorted(
        span.name for span in spans.all() if span.name != "request"
    )


@pytest.fixture
def agent() -> CodeActAgent:
    """An agent whose model is scripted, in the real sandbox."""
    from codeact_tools import CodeActAgent
    from codeact_tools.testing import ScriptedModel, UnconfinedSandbox

    model = ScriptedModel(["<execute>print(weekday(date(2026, 12, 24)))</execute>", "A Thursday."])
    return CodeActAgent(tools=["calendar"], model=model, sandbox=UnconfinedSandbox())


# ---- a collector -----------------------------------------------------------------------------------------------------


class Collector(http.server.BaseHTTPRequestHandler):
    """Receives OTLP over HTTP."""

    received: list[ExportTraceServiceRequest]
    status = 200

    def do_POST(self) -> None:
        """Take a batch."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
        if self.path == "/v1/traces":
            self.received.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(self.status)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[tuple[str, type[Collector]]]:
    """Its address, and what it received."""
    handler = type("Here", (Collector,), {"received": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", handler
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_collector_receives_the_spans(collector: tuple[str, type[Collector]]) -> None:
    """Over HTTP, with the standard exporter, in batches."""
    address, handler = collector
    sent = send(long_run(turns=120, chars=100), endpoint=f"{address}/v1/traces", agent_name="reader")
    names = [
        span.name
        for batch in handler.received
        for resource in batch.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    assert len(names) == sent.spans == 1 + 120 * 5
    assert len(handler.received) == 2
    assert names.count("invoke_agent reader") == 1
    [service] = handler.received[0].resource_spans
    assert ("service.name", "reader") in [(each.key, each.value.string_value) for each in service.resource.attributes]


def test_the_standard_variables_say_where_the_collector_is(
    collector: tuple[str, type[Collector]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for any other program."""
    address, handler = collector
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
    assert send(full_run()).endpoint == f"{address}/v1/traces"
    assert len(handler.received) == 1


def test_a_collector_that_refuses_is_named(collector: tuple[str, type[Collector]]) -> None:
    """The error says where, and what to set."""
    address, handler = collector
    handler.status = 400
    with pytest.raises(ConfigurationError, match=rf"{address}/v1/traces' does not take the spans.*; set --endpoint"):
        send(full_run(), endpoint=f"{address}/v1/traces")


@pytest.mark.parametrize("status", [429, 503])
def test_a_collector_that_is_busy_is_asked_again(collector: tuple[str, type[Collector]], status: int) -> None:
    """The next attempt may succeed."""
    address, handler = collector
    handler.status = status

    class Recovering(list[ExportTraceServiceRequest]):
        def append(self, request: ExportTraceServiceRequest) -> None:
            handler.status = 200 if self else status
            super().append(request)

    handler.received = Recovering()
    send(full_run(), endpoint=f"{address}/v1/traces")
    assert len(handler.received) == 2


def test_nobody_at_the_endpoint_is_asked_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The exporter is stopped before it waits for another attempt; the error says where, why, and what to do."""
    waits: list[float] = []
    wait = threading.Event.wait

    def waited(event: threading.Event, timeout: float | None = None) -> bool:
        if timeout is not None and not event.is_set():
            waits.append(timeout)
        return wait(event, timeout)

    monkeypatch.setattr(threading.Event, "wait", waited)
    with socket.socket() as reserved:  # bound, and not listening
        reserved.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{reserved.getsockname()[1]}/v1/traces"
        with pytest.raises(ConfigurationError) as caught:
            send(full_run(), endpoint=endpoint)
    assert str(caught.value) == (
        f"Nobody receives spans at {endpoint!r} (Connection refused); start a collector there, or set --endpoint or "
        "OTEL_EXPORTER_OTLP_ENDPOINT to one that receives OTLP over HTTP."
    )
    assert not waits
    assert not caplog.records


@pytest.mark.parametrize(
    ("complaint", "cause"),
    [
        (
            "Transient error HTTPConnectionPool(host='x', port=4318): Max retries exceeded with url: /v1/traces "
            "(Caused by NewConnectionError('<...>: [Errno 111] Connection refused')) "
            "encountered while exporting span batch, retrying in 0.93s.",
            "Connection refused",
        ),
        (
            '... (Caused by NameResolutionError("...: ([Errno -2] Name or service not known)"))',
            "Name or service not known",
        ),
        ("Failed to export, code: 404, reason: Not Found", "Failed to export, code: 404, reason: Not Found"),
    ],
)
def test_what_the_exporter_logs_is_said_in_short(complaint: str, cause: str) -> None:
    """The cause alone, on one line."""
    assert in_short(complaint) == cause


def test_the_command_sends_a_run(
    collector: tuple[str, type[Collector]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a file of events."""
    from codeact_tools.cli.trace import trace_app

    address, handler = collector
    file = tmp_path / "run.jsonl"
    file.write_text(as_lines(full_run()))
    trace_app(["otel", str(file), "--endpoint", f"{address}/v1/traces"], result_action="return_value")
    assert capsys.readouterr().out == f"31 spans of run run sent to {address}/v1/traces\n"
    assert handler.received


def as_lines(recorded: list[Recorded]) -> str:
    """Events as JSON lines."""
    rows = ({"at": at, "event": json.loads(EVENT_ADAPTER.dump_json(event))} for at, event in recorded)
    return "".join(json.dumps(row) + "\n" for row in rows)
