"""Sends a recorded run to a collector: OTLP over HTTP, with the standard exporter. Needs the extra ``otel``."""

from __future__ import annotations

import errno
import logging
import os
import re
import socket
from collections.abc import Iterable, Iterator, Sequence
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
_HOPELESS = {
    errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, getattr(socket, "EAI_NONAME", 0)
}  # fmt: skip
"""Errors of the operating system that are the same a second later: no such host, no way to it, nobody listening."""


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
    with _complaints(exporter) as heard:
        try:
            for start in range(0, len(spans), _BATCH):
                if exporter.export(spans[start : start + _BATCH]) is not SpanExportResult.SUCCESS:
                    raise _refused(_address(endpoint), heard)
        finally:
            exporter.shutdown()
            provider.shutdown()
    return Sent(spans=len(spans), endpoint=_address(endpoint))


def _refused(address: str, heard: Sequence[str]) -> ConfigurationError:
    why = f" ({in_short(heard[0])})" if heard else ""
    if heard and is_hopeless(heard[0]):
        return ConfigurationError(
            f"Nobody receives spans at {address!r}{why}; start a collector there, or set --endpoint or "
            "OTEL_EXPORTER_OTLP_ENDPOINT to one that receives OTLP over HTTP."
        )
    return ConfigurationError(
        f"The collector at {address!r} does not take the spans{why}; set --endpoint or "
        "OTEL_EXPORTER_OTLP_ENDPOINT to one that receives OTLP over HTTP."
    )


def in_short(complaint: str) -> str:
    """The cause in what the exporter logs: that of the operating system, or the collector's own word.

    >>> in_short("... (Caused by NewConnectionError('...: [Errno 111] Connection refused')) ... retrying in 0.9s.")
    'Connection refused'
    """
    found = re.search(r"\[Errno -?\d+\] ([^\\'\")\]]+)", complaint)
    return found[1].strip() if found else complaint.splitlines()[0][:120].rstrip(".")


def is_hopeless(complaint: str) -> bool:
    """Whether nobody listens there, so that another attempt will fail like the first.

    >>> is_hopeless("Transient error ... [Errno 111] Connection refused ... retrying in 0.9s.")
    True
    >>> is_hopeless("Transient error Service Unavailable encountered while exporting span batch, retrying in 0.9s.")
    False
    """
    found = re.search(r"\[Errno (-?\d+)\]", complaint)
    return found is not None and int(found[1]) in _HOPELESS


@contextmanager
def _complaints(exporter: SpanExporter) -> Iterator[list[str]]:
    """What the exporter logs, for the error message instead of for the terminal.

    It tries again for as long as its timeout allows, whatever has failed; where that helps nothing, it is stopped.
    """
    heard: list[str] = []

    class Listener(logging.Handler):
        @override
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())
            if len(heard) == 1 and is_hopeless(heard[0]):
                exporter.shutdown()

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
