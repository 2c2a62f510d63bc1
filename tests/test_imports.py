"""What importing the library costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ["torch", "transformers", "openai", "e2b", "e2b_code_interpreter", "mkdocs", "rich", "cyclopts", "xllamacpp"]


def output_of(code: str) -> str:
    """Run ``code`` in a fresh interpreter and return what it prints."""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return run.stdout


def seconds_to_import(module: str) -> float:
    """The best of several imports, each in a fresh interpreter."""
    code = f"import time; start = time.perf_counter(); import {module}; print(time.perf_counter() - start)"
    return min(float(output_of(code)) for _ in range(5))


@pytest.mark.parametrize("module", ["codeact_tools", "codeact_tools.toolkits"])
def test_the_library_imports_no_optional_or_heavy_package(module: str) -> None:
    """Models, clouds and terminal rendering are imported where they are used."""
    loaded = output_of(f"import {module}, sys; print(*sys.modules)").split()
    assert not set(HEAVY) & set(loaded)


def test_importing_the_library_costs_little_more_than_pydantic() -> None:
    """The bound is a ratio, because times vary with the machine; pydantic takes 0.05 to 0.25 s."""
    assert seconds_to_import("codeact_tools") < 3 * seconds_to_import("pydantic")
