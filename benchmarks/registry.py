"""A thousand tools in this registry and in those of others: import, register, render, tokens per tool, validated call.

    python -m venv rivals
    rivals/bin/pip install smolagents pydantic-ai-slim fastmcp langchain-core openai-agents
    rivals/bin/pip install -e .
    python -m benchmarks.registry --python rivals/bin/python

All contenders run with that one interpreter, each in processes of its own, by turns; of each figure the median of the
rounds is printed, then as a ratio to ours. Tokens are those of the embedded model (Qwen2.5-Coder), whose
vocabulary is read from its weights (``codeact-tools model fetch``), with the package ``tokenizers``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from benchmarks.contenders import CONTENDERS
from benchmarks.toolset import source
from benchmarks.vocabulary import load_counter

UNITS: Final = {"import": ("ms", 1e3), "register": ("ms", 1e3), "render": ("ms", 1e3), "call": ("µs", 1e6)}
TOKENS_GOAL: Final = 115
CALL_GOAL: Final = 3.0


def run(name: str, python: str, module: Path) -> dict[str, Any] | str:
    """One round of one contender; the last line of its complaint where it cannot take part."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [python, "-m", "benchmarks.contenders", name, str(module)],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tools", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--python", default=sys.executable, help="an interpreter that has the contenders")
    options = parser.parse_args()
    count = load_counter()
    print(f"{options.tools} tools, median of {options.rounds} rounds; Python {platform.python_version()}")
    results: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        module = Path(folder) / "business.py"
        module.write_text(source(options.tools), encoding="utf-8")
        run("codeact_tools", options.python, module)  # the first run of all writes byte code and fills the disk's cache
        turns = [{name: run(name, options.python, module) for name in CONTENDERS} for _ in range(options.rounds)]
        for name in CONTENDERS:
            rounds = [turn[name] for turn in turns]
            failed = [each for each in rounds if isinstance(each, str)]
            if failed:
                print(f"{name}: {failed[0]}")
                continue
            good = [each for each in rounds if isinstance(each, dict)]
            figures = {key: statistics.median(each[key] for each in good) for key in (*UNITS, "prepare")}
            tokens = count(good[0]["text"]) / good[0]["tools"]
            results[name] = {**figures, "tokens": tokens, "version": good[0]["version"]}
    report(results)


def report(results: dict[str, dict[str, Any]]) -> None:
    """Print the figures and their ratios to ours, and whether the goals are met."""
    ours = results["codeact_tools"]
    print(
        f"{'':28}"
        + "".join(f"{f'{key} ({unit})':>22}" for key, (unit, _) in UNITS.items())
        + f"{'tokens per tool':>20}"
    )
    for name, each in results.items():
        cells = [f"{each[key] * scale:10.1f} ({each[key] / ours[key]:5.2f} x)" for key, (_, scale) in UNITS.items()]
        cells.append(f"{each['tokens']:8.1f} ({each['tokens'] / ours['tokens']:5.2f} x)")
        print(f"{name + ' ' + each['version']:28}" + "".join(f"{cell:>22}" for cell in cells))
        if note := CONTENDERS[name].note:
            print(f"{'':28}({note})")
    print(f"ours with all validators built at once: {(ours['register'] + ours['prepare']) * 1e3:.1f} ms to register")
    rivals = {name: each for name, each in results.items() if name not in ("codeact_tools", "pydantic")}
    goals = {
        "import faster than every rival": all(ours["import"] < each["import"] for each in rivals.values()),
        "registration faster than every rival": all(ours["register"] < each["register"] for each in rivals.values()),
        f"call within {CALL_GOAL:g} x of validate_call": ours["call"] <= CALL_GOAL * results["pydantic"]["call"],
        f"at most {TOKENS_GOAL} tokens per tool": ours["tokens"] <= TOKENS_GOAL,
    }
    for goal, met in goals.items():
        print(f"{'met   ' if met else 'MISSED'} {goal}")


if __name__ == "__main__":
    main()
