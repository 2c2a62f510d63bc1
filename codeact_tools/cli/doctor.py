"""What works on this machine: each thing is looked at or tried, and what does not work says why and what would help.

Keys are reported as set or not set; their values are neither shown nor sent, and no endpoint is asked anything.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version

from rich.console import Console
from rich.text import Text

from ..checks.server import find_ty
from ..errors import CodeActError, ConfigurationError, JournalError, SandboxUnavailable
from ..journal import open_journal
from ..models import has_gpu, resolve_model
from ..models.embedded import available_cpus
from ..models.endpoint import endpoint_from_environment
from ..models.weights import DEFAULT_WEIGHTS, locate
from ..sandbox import resolve_sandbox
from ..sandbox.local import LocalSandbox
from ..settings import configured, settings_of
from ..toolkits import InstalledToolkit, list_toolkits, load_toolkit
from .exits import Exit
from .render import printable

KEYS = ("CODEACT_TOOLS_API_KEY", "OPENAI_API_KEY", "E2B_API_KEY")

INSTALL = "pip install 'codeact-tools[{extra}]'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    area: str
    """``system``, ``sandbox``, ``model``, ``checker``, ``journal``, ``key`` or ``toolkit``."""
    name: str
    works: bool | None
    """None where it is only a fact, neither good nor bad."""
    detail: str
    advice: str = ""
    """What would make it work, or work better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that was found."""

    checks: tuple[Check, ...]
    verdict: Exit
    """The exit code: 0 where a task can be solved, 3 without a model, 4 without a sandbox."""

    def as_json(self) -> str:
        """Return the report as JSON, for programs."""
        return json.dumps({"checks": [asdict(check) for check in self.checks], "verdict": int(self.verdict)}, indent=2)

    def write(self, console: Console) -> None:
        """Write the report for people."""
        area, width = "", max(len(check.name) for check in self.checks)
        for check in self.checks:
            if check.area != area:
                area = check.area
                console.print(Text(area, "bold"), soft_wrap=True)
            mark, style = {True: ("✓", "green"), False: ("✗", "red"), None: ("·", "dim")}[check.works]
            line = Text.assemble(f"  {check.name:<{width}} ", (mark, style), f" {printable(check.detail)}")
            console.print(line, soft_wrap=True, highlight=False)
            for advice in check.advice.splitlines():
                console.print(
                    Text(f"{'':<{width + 5}}→ {printable(advice)}", "yellow"), soft_wrap=True, highlight=False
                )


def examine() -> Report:
    """Look at everything; takes about a second."""
    sandboxes, models = list(_sandboxes()), list(_models())
    checks = (*_system(), *sandboxes, *models, _checker(), _record(), *_keys(), *_toolkits())
    model, sandbox = models[-1], sandboxes[-1]
    verdict = Exit.MODEL if not model.works else Exit.ANSWER if sandbox.works else Exit.SANDBOX
    return Report(checks=checks, verdict=verdict)


def _system() -> Iterator[Check]:
    yield Check(area="system", name="codeact-tools", works=None, detail=_version_of("codeact-tools") or "not installed")
    python = f"{platform.python_implementation()} {platform.python_version()}"
    yield Check(area="system", name="python", works=None, detail=python)
    machine = f"{platform.platform()}, {available_cpus()} CPUs to use"
    yield Check(area="system", name="machine", works=None, detail=machine)


def _sandboxes() -> Iterator[Check]:
    modes = LocalSandbox.probe()
    for report in modes:
        yield Check(area="sandbox", name=report.mode, works=report.works, detail=report.reason, advice=report.advice)
    monty = _version_of("pydantic-monty")
    detail = f"a subset of Python, where no other mode works; package {monty}" if monty else "not installed"
    advice = "" if monty or any(report.works for report in modes) else INSTALL.format(extra="monty")
    yield Check(area="sandbox", name="monty", works=True if monty else None, detail=detail, advice=advice)
    key, package = bool(os.environ.get("E2B_API_KEY")), _version_of("e2b-code-interpreter")
    missing = [] if key else ["E2B_API_KEY is not set"]
    missing += [] if package else [f"its package is not installed ({INSTALL.format(extra='e2b')})"]
    ready = None if missing else True
    yield Check(area="sandbox", name="e2b", works=ready, detail="; ".join(missing) or f"package {package}, key set")
    try:
        _, choice = resolve_sandbox("auto")
        if choice.name == "local" and not monty and not any(report.works for report in modes):
            raise SandboxUnavailable("no mode of the local sandbox works here, and E2B is not set up")
        yield Check(area="sandbox", name="auto", works=True, detail=f"{choice.name}: {choice.reason}")
    except CodeActError as error:
        yield Check(area="sandbox", name="auto", works=False, detail=str(error))


def _models() -> Iterator[Check]:
    endpoint = endpoint_from_environment()
    named = f"{endpoint[0]}, model {endpoint[1] or 'not named'}" if endpoint else "the environment names none"
    package = _version_of("openai")
    advice = INSTALL.format(extra="endpoint") if endpoint and not package else ""
    works = bool(package) if endpoint else None
    yield Check(area="model", name="endpoint", works=works, detail=named, advice=advice)
    missing = [name for name in ("torch", "transformers", "bitsandbytes", "accelerate") if not _version_of(name)]
    detail = "a GPU" if has_gpu() else "no GPU"
    detail += f"; not installed: {', '.join(missing)}" if missing else "; all packages are installed"
    advice = INSTALL.format(extra="transformers") if has_gpu() and missing else ""
    yield Check(
        area="model", name="transformers", works=(not missing) if has_gpu() else None, detail=detail, advice=advice
    )
    yield _embedded()
    try:
        model, choice = resolve_model("auto")
        yield Check(
            area="model",
            name="auto",
            works=True,
            detail=f"{model.name}: {choice.reason}",
            advice="\n".join(choice.warnings),
        )
    except CodeActError as error:
        yield Check(area="model", name="auto", works=False, detail=str(error))


def _embedded() -> Check:
    engine = _version_of("xllamacpp")
    if engine is None:
        advice = INSTALL.format(extra="embedded")
        return Check(area="model", name="embedded", works=False, detail="xllamacpp is not installed", advice=advice)
    try:
        path = locate()
    except CodeActError as error:
        return Check(area="model", name="embedded", works=False, detail=str(error))
    if path is None:
        detail = f"xllamacpp {engine}; {DEFAULT_WEIGHTS.name} is not downloaded yet"
        return Check(area="model", name="embedded", works=True, detail=detail, advice="codeact-tools model fetch")
    return Check(area="model", name="embedded", works=True, detail=f"xllamacpp {engine}; {path}")


def _checker() -> Check:
    path = find_ty()
    detail = (
        f"ty {_version_of('ty') or ''}, {path}"
        if path
        else "ty is not installed: actions run with their types unchecked"
    )
    advice = "" if path else INSTALL.format(extra="check")
    return Check(area="checker", name="ty", works=path is not None, detail=detail, advice=advice)


def _record() -> Check:
    """Where runs are recorded."""
    try:
        journal = open_journal()
    except JournalError as error:
        return Check(area="journal", name="runs", works=False, detail=str(error))
    if journal is None:
        return Check(area="journal", name="runs", works=None, detail="not recorded: CODEACT_TOOLS_JOURNAL=off")
    return Check(area="journal", name="runs", works=True, detail=f"{len(journal.runs())} in {journal.where}")


def _keys() -> Iterator[Check]:
    for key in KEYS:
        yield Check(area="key", name=key, works=None, detail="set" if os.environ.get(key) else "not set")


def _toolkits() -> Iterator[Check]:
    found = list_toolkits()
    for record in found:
        yield _toolkit(record)
    if not found:
        advice = "pip install codeact-tools-calendar"
        yield Check(area="toolkit", name="none", works=None, detail="no toolkit is installed", advice=advice)


def _toolkit(record: InstalledToolkit) -> Check:
    """Import an enabled toolkit, as a run that asks for it would, and look whether what it needs is set."""
    detail = f"{record.distribution} {record.version}"
    if not record.enabled:
        return Check(area="toolkit", name=record.name, works=None, detail=f"{detail}, not enabled")
    try:
        toolkit = load_toolkit(record.name)
        unset = [each for each in settings_of(configured(toolkit)) if each.secret and not each.is_set]
    except ConfigurationError as error:
        return Check(area="toolkit", name=record.name, works=False, detail=f"{detail}: {error}")
    except CodeActError as error:
        cause = record.error or str(error)
        return Check(area="toolkit", name=record.name, works=False, detail=f"{detail}: {cause}")
    names = ", ".join(f"{(each.variables or (each.name,))[0]} is not set" for each in unset)
    advice = f"{names}: some of its tools may need it" if unset else ""
    return Check(area="toolkit", name=record.name, works=True, detail=detail, advice=advice)


def _version_of(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
