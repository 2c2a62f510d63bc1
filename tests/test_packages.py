"""`Session(packages=[...])`: the environment's own libraries in the sandbox, as an action meets them."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from codeact_tools import Session
from codeact_tools.errors import ConfigurationError, SandboxUnavailable
from codeact_tools.sandbox.local import LocalSandbox
from codeact_tools.sandbox.packages import find_packages, importable

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


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment of this Python with one package in it, ``made-up``, imported as ``madeup``."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    venv.EnvBuilder(with_pip=False).create(folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "madeup").mkdir()
    optional = "try:\n    import other\nexcept ImportError:\n    other = None\n"
    (packages / "madeup" / "__init__.py").write_text(f"{optional}\n\ndef answer() -> int:\n    return 42\n")
    (packages / "other.py").write_text("")
    information = packages / "made_up-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: made-up\nVersion: 1.0\n")
    (information / "RECORD").write_text("madeup/__init__.py,,\nmade_up-1.0.dist-info/METADATA,,\n")
    for parent in (folder, *list(folder.parents)[:-2]):
        with contextlib.suppress(PermissionError):
            parent.chmod(0o755)
    return folder


@pytest.mark.parametrize("mode", ["jail", "jail-lite"])
def test_packages_of_a_named_environment(mode: Mode, environment: Path) -> None:
    """They stand in for this interpreter's, by distribution or module, read-only; the check knows them, too."""
    if not next(report for report in LocalSandbox.probe() if report.mode == mode).works:
        pytest.skip(f"{mode} does not work here")
    sandbox = LocalSandbox(mode, environment=environment)
    with Session(sandbox=sandbox, packages=["made-up"], allow_imports=["os"]) as session:
        assert "madeup" in session.allow_imports
        assert session.run("import madeup\nmadeup.answer()").result == "42"
        assert session.run("madeup.other is None").result == "True", "what nobody asked for is not there"
        refused = session.run("open(madeup.__file__, 'a')")
        assert refused.error is not None
        assert refused.error.name in ("OSError", "PermissionError")
        missing = session.run("import pydantic")
        assert missing.error is not None
    with pytest.raises(ConfigurationError, match=r"'pydantic', which is not installed in .*-m pip install pydantic"):
        Session(sandbox=sandbox, packages=["pydantic"])


def test_an_environment_of_another_version_is_refused(tmp_path: Path) -> None:
    """Its compiled packages would not load; the message names both versions and what to do."""
    with pytest.raises(ConfigurationError, match=r"it has no lib"):
        find_packages(["x"], str(tmp_path))
    (tmp_path / "lib" / "python2.7" / "site-packages").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match=r"packages of python2\.7\. Make one with .* -m venv"):
        find_packages(["x"], str(tmp_path))
