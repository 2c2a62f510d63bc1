"""Sends a recorded run to a collector: OTLP over HTTP, with the standard exporter. Needs the extra ``otel``."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from typing_extensions import override

from ..errors import ConfigurationError
from ..events import Recorded
from .otel import export

try:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
except ImportError as error:
    raise ConfigurationError(
        "OpenTelemetry's exporter is not installed; run `pip install 'codeact-tools[otel]'` to send spans."
    ) from error

__all__ = ["Sent", "send"]

_BATCH = 512


class Sent(NamedTuple):
    """What was sent."""

    spans: int
    endpoint: str


def send(recorded: Iterable[Recorded], *, endpoint: str | None = None, agent_name: str | None = None) -> Sent:
    """Send the spans of a run to a collector, and return when it has them.

    Args:
        recorded: What `Journal.read` returns.
        endpoint: Where traces are received, ``http://localhost:4318/v1/traces``; by default what OpenTelemetry's own
            variables say (``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_EXPORTER_OTLP_HEADERS``, ...).
        agent_name: What the agent is called.

    Raises:
        ConfigurationError: The collector does not take them.
    """
    kept = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource.create({"service.name": agent_name or "codeact-tools"}))
    provider.add_span_processor(SimpleSpanProcessor(kept))
    export(recorded, provider, agent_name=agent_name)
    spans = kept.get_finished_spans()
    exporter: SpanExporter = OTLPSpanExporter(endpoint=endpoint)
    try:
        with _complaints() as heard:
            for start in range(0, len(spans), _BATCH):
                if exporter.export(spans[start : start + _BATCH]) is not SpanExportResult.SUCCESS:
                    why = f" ({in_short(heard[0])})" if heard else ""
                    raise ConfigurationError(
                        f"The collector at {_address(endpoint)!r} does not take the spans{why}; set --endpoint or "
                        "OTEL_EXPORTER_OTLP_ENDPOINT to one that receives OTLP over HTTP."
                    )
    finally:
        exporter.shutdown()
        provider.shutdown()
    return Sent(spans=len(spans), endpoint=_address(endpoint))


def in_short(complaint: str) -> str:
    """The cause in what the exporter logs: that of the operating system, or the collector's own word.

    >>> in_short("... (Caused by NewConnectionError('...: [Errno 111] Connection refused')) ... retrying in 0.9s.")
    'Connection refused'
    """
    found = re.search(r"\[Errno -?\d+\] ([^\\'\")\]]+)", complaint)
    return found[1].strip() if found else complaint.splitlines()[0][:120].rstrip(".")


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """What the exporter logs, for the error message instead of for the terminal."""
    heard: list[str] = []

    class Listener(logging.Handler):
        @override
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    logger, listener = logging.getLogger("opentelemetry.exporter"), Listener()
    propagates, logger.propagate = logger.propagate, False
    logger.addHandler(listener)
    try:
        yield heard
    finally:
        logger.removeHandler(listener)
        logger.propagate = propagates


def _address(endpoint: str | None) -> str:
    """Where the exporter sends to, as OpenTelemetry's specification of its variables has it."""
    base = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318").rstrip("/")
    return endpoint or os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or f"{base}/v1/traces"
