"""`Session(packages=[...])`: the environment's own libraries in the sandbox, as an action meets them."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from typing import Literal

import pytest

from codeact_tools import Session
from codeact_tools.errors import SandboxUnavailable
from codeact_tools.sandbox.packages import importable

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the local sandbox needs Linux")
Mode = Literal["jail", "jail-lite"]


def opened(mode: Mode, package: str) -> Iterator[Session]:
    """A session with the package; the test is skipped, by name, where that cannot be."""
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    session = Session(sandbox=mode, packages=[package], check="off")
    try:
        session.__enter__()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    yield session
    session.close()


@pytest.fixture(params=["jail", "jail-lite"])
def plotting(request: pytest.FixtureRequest) -> Iterator[Session]:
    """A session with matplotlib."""
    yield from opened(request.param, "matplotlib")


@pytest.fixture(params=["jail", "jail-lite"])
def tables(request: pytest.FixtureRequest) -> Iterator[Session]:
    """A session with pandas."""
    yield from opened(request.param, "pandas")


def test_figures_are_artifacts_without_being_shown(plotting: Session) -> None:
    """Each open figure comes out as a PNG, once, under a name of its own, and the next action starts with none."""
    seen = plotting.run("import matplotlib.pyplot as plt\nplt.plot([1, 4, 9])\nplt.figure()\nplt.bar(['a'], [1])\nNone")
    assert seen.error is None, seen.text
    assert [(artifact.name, artifact.media_type) for artifact in seen.artifacts] == [
        ("figure-1.png", "image/png"),
        ("figure-2.png", "image/png"),
    ]
    assert all(artifact.data.startswith(b"\x89PNG") for artifact in seen.artifacts)
    assert "figure-1.png" in seen.text
    assert plotting.run("1 + 1").artifacts == ()
    shown = plotting.run("plt.plot([1])\nplt.show()")
    assert [artifact.name for artifact in shown.artifacts] == ["figure-3.png"]


def test_a_figure_that_the_action_saves_is_a_file_like_any_other(plotting: Session) -> None:
    """``savefig`` writes where files can be written, and an empty figure is not handed out besides."""
    if "jail-lite" in plotting.sandbox:
        pytest.skip("no files can be written in this mode")
    seen = plotting.run("import matplotlib.pyplot as plt\nplt.savefig('mine.png')")
    assert [artifact.name for artifact in seen.artifacts] == ["mine.png"]


def test_a_table_is_shown_as_a_table(tables: Session) -> None:
    """A DataFrame is shown with its columns, also where the action ends on an assignment."""
    rows = "pd.DataFrame({'city': ['Ulm', 'Jena'], 'people': [129, 111]})"
    table = "   city  people\n0   Ulm     129\n1  Jena     111"
    assert tables.run(f"import pandas as pd\n{rows}").result == table
    assert tables.run(f"cities = {rows}").text == f"cities =\n{table}"
    wide = tables.run("pd.DataFrame({f'measurement_{n}': range(1000) for n in range(30)})")
    assert wide.result is not None
    assert "measurement_29" in wide.result
    assert "[1000 rows x 30 columns]" in wide.result
    assert max(map(len, wide.result.splitlines())) <= 165


def test_the_package_is_opened_for_import_and_nothing_else_is(tables: Session) -> None:
    """The package imports what it needs for itself; the action may import the package only."""
    assert tables.run("import pandas as pd\npd.Series([1, 2]).mean()").result in ("1.5", "np.float64(1.5)")
    for module in ("os", "numpy", "pytest"):
        refused = tables.run(f"import {module}")
        assert refused.error is not None
        assert f"{module!r} cannot be imported here" in refused.error.message
        assert "pandas" in refused.error.message


def test_the_checker_opens_it_as_well() -> None:
    """What the guest lets in, the check before it lets in, too."""
    if importlib.util.find_spec("pandas") is None:
        pytest.skip("pandas is not installed")
    with Session(sandbox="local", packages=["pandas"]) as session:
        seen = session.run("import pandas as pd\npd.DataFrame({'a': [1, 2]}).a.sum()")
        assert seen.error is None, seen.text
        refused = session.run("import subprocess")
        assert refused.error is not None
        assert refused.error.kind == "check"


def test_a_distribution_is_imported_by_the_names_of_its_modules() -> None:
    """The name in the registry and that of the module differ; what is not installed is taken at its word."""
    assert importable(()) == ()
    assert importable(("pydantic",)) == ("pydantic",)
    assert "yaml" in importable(("pyyaml",)) or importlib.util.find_spec("yaml") is None
    assert importable(("docstring-parser",)) == ("docstring_parser",)
    assert importable(("no-such-thing",)) == ("no_such_thing",)
