"""Installed toolkits: discovery without imports, lazy loading, and errors that name the distribution."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from importlib.metadata import PathDistribution
from importlib.util import find_spec
from pathlib import Path

import pytest

from codeact_tools import Toolkit, ToolRegistry, __version__, tool
from codeact_tools.errors import ConfigurationError, DefinitionError, PluginError
from codeact_tools.toolkits import ENABLED, GROUP, list_toolkits, load_toolkit, resolve_tools

Install = Callable[..., None]

WORKING = """
from codeact_tools import Toolkit, tool

@tool(read_only=True)
def double(n: int) -> int:
    '''Double a number.'''
    return 2 * n

toolkit = Toolkit("{name}", tools=[double])
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install distributions by writing what an installer writes: a module, and metadata with an entry point."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv(ENABLED)

    def write(
        distribution: str, name: str, *, module: str | None = None, source: str | None = None, requires: str = ""
    ) -> None:
        module = module or f"{distribution.replace('-', '_')}_module"
        if source is not None:
            (tmp_path / f"{module}.py").write_text(source)
            monkeypatch.delitem(sys.modules, module, raising=False)
        info = tmp_path / f"{distribution.replace('-', '_')}-1.2.dist-info"
        info.mkdir()
        more = f"Requires-Dist: {requires}\n" if requires else ""
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n{more}\nVersion: of the description\n"
        )
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {module}:toolkit\n")

    return write


def file_of(module: str) -> str | None:
    """Where a module is."""
    spec = find_spec(module)
    return spec.origin if spec is not None else None


def test_listing_imports_nothing(install: Install) -> None:
    """A toolkit whose import would fail is listed like any other, because it is not imported."""
    install("dice-tools", "dice", source="raise RuntimeError('imported')")
    record = next(record for record in list_toolkits() if record.name == "dice")
    assert (record.distribution, record.version, record.target) == ("dice-tools", "1.2", "dice_tools_module:toolkit")
    assert record.error is None
    assert record.enabled
    assert "dice_tools_module" not in sys.modules


def test_a_toolkit_is_loaded_by_its_name(install: Install) -> None:
    """The name of an installed toolkit stands for its tools."""
    install("double-tools", "pairs", source=WORKING.format(name="pairs"))
    assert load_toolkit("pairs").name == "pairs"
    assert [spec.qualified for spec in resolve_tools(["pairs"]).specs] == ["pairs.double"]


def test_a_broken_toolkit_disturbs_nobody_else(install: Install) -> None:
    """With ``load`` it is listed with its error; asked for by name, it raises one that says what to do."""
    install("double-tools", "pairs", source=WORKING.format(name="pairs"))
    install("dice-tools", "dice", source="import a_module_that_is_missing")
    errors = {record.name: record.error for record in list_toolkits(load=True)}
    assert errors["pairs"] is None
    assert errors["dice"] == (
        "importing 'dice_tools_module:toolkit' raised ModuleNotFoundError: No module named 'a_module_that_is_missing' "
        f"(in {file_of('dice_tools_module')}, line 1)"
    )
    with pytest.raises(PluginError) as caught:
        load_toolkit("dice")
    assert str(caught.value) == (
        "The toolkit 'dice' of the distribution 'dice-tools' 1.2 cannot be loaded: importing "
        "'dice_tools_module:toolkit' raised ModuleNotFoundError: No module named 'a_module_that_is_missing' "
        f"(in {file_of('dice_tools_module')}, line 1). "
        "Install a version that works (pip install --upgrade dice-tools), or do not ask for it."
    )
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("raise SystemExit(3)", "raised SystemExit: 3 (in "),
        ("toolkit = 3", "'dice_tools_module:toolkit' is of type 'int', not a Toolkit"),
        ("other = 3", "raised AttributeError"),
        (WORKING.format(name="cards"), "its entry point is named 'dice', but the toolkit 'cards'"),
        ("x = 1\ndef broken(:", "raised SyntaxError: invalid syntax (in "),
        ("x = 1\n\nx.y", "has no attribute 'y' (in "),
        ("x = 1\n\nx.y", "dice_tools_module.py, line 3)"),
        (
            "from codeact_tools.errors import DefinitionError\nraise DefinitionError('dice.py:3: no annotation.')",
            "dice.py:3: no annotation. Install",
        ),
    ],
    ids=["exits", "no-toolkit", "no-attribute", "other-name", "syntax", "attribute", "line", "definition"],
)
def test_whatever_is_wrong_with_a_toolkit_is_a_plugin_error(install: Install, source: str, cause: str) -> None:
    """No exception of a toolkit's own code escapes; the message says which distribution and why."""
    install("dice-tools", "dice", source=source)
    with pytest.raises(PluginError, match=r"'dice-tools' 1\.2") as caught:
        load_toolkit("dice")
    assert cause in str(caught.value)


def test_a_missing_module_is_found_without_importing(install: Install) -> None:
    """Metadata that names a module which is not there is an error in the listing already."""
    install("dice-tools", "dice", module="gone_module")
    assert [record.error for record in list_toolkits() if record.name == "dice"] == [
        "the module 'gone_module' that it names is not there"
    ]
    with pytest.raises(PluginError, match="'gone_module' that it names is not there"):
        load_toolkit("dice")


def test_a_name_that_two_distributions_claim_is_refused_with_both(install: Install) -> None:
    """Which of the two is loaded must not depend on the order of a path."""
    install("dice-tools", "dice", source=WORKING.format(name="dice"))
    install("better-dice", "dice", source=WORKING.format(name="dice"))
    claims = [record for record in list_toolkits() if record.name == "dice"]
    assert len(claims) == 2
    for claim in claims:
        assert claim.error == "the distributions 'better-dice' and 'dice-tools' both provide 'dice'; uninstall one"
    with pytest.raises(
        PluginError, match="'better-dice' and 'dice-tools' both provide 'dice'\\. Uninstall one of them"
    ):
        load_toolkit("dice")


def test_an_unknown_name_gets_the_nearest(install: Install) -> None:
    """A misspelt toolkit is answered with the one that was meant."""
    install("dice-tools", "dice", source=WORKING.format(name="dice"))
    with pytest.raises(PluginError) as caught:
        load_toolkit("dise")
    assert str(caught.value) == "No toolkit 'dise' is installed; did you mean 'dice'?"


def test_a_name_unlike_any_other_gets_the_installed_ones(install: Install) -> None:
    """No package is named that might be anybody's."""
    install("dice-tools", "dice", source=WORKING.format(name="dice"))
    with pytest.raises(PluginError, match=r"installed are .*'dice'.*; see") as caught:
        load_toolkit("finance")
    assert "pip" not in str(caught.value)


def test_the_environment_restricts_what_may_be_loaded(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """Toolkits that are not named in the variable are listed as not enabled, and refused."""
    install("dice-tools", "dice", source=WORKING.format(name="dice"))
    monkeypatch.setenv(ENABLED, "calendar, double")
    assert [record.enabled for record in list_toolkits() if record.name == "dice"] == [False]
    with pytest.raises(PluginError, match=r"installed but not enabled: CODEACT_TOOLS_TOOLKITS='calendar, double'"):
        load_toolkit("dice")
    list_toolkits(load=True)
    assert "dice_tools_module" not in sys.modules


def test_an_empty_variable_enables_nothing(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set to nothing is not the same as unset."""
    install("dice-tools", "dice", source=WORKING.format(name="dice"))
    monkeypatch.setenv(ENABLED, "")
    assert not any(record.enabled for record in list_toolkits())


def test_sources_of_all_kinds_make_one_registry(install: Install) -> None:
    """Names, functions and toolkits go together; a registry passes as it is."""

    @tool
    def triple(n: int) -> int:
        """Three times a number."""
        return 3 * n

    @tool
    def half(n: int) -> int:
        """Half a number."""
        return n // 2

    install("double-tools", "pairs", source=WORKING.format(name="pairs"))
    registry = resolve_tools(["pairs", triple, Toolkit("halves", tools=[half])])
    assert [spec.qualified for spec in registry.specs] == ["pairs.double", "triple", "halves.half"]
    assert resolve_tools(registry) is registry
    assert isinstance(registry, ToolRegistry)


def test_a_single_name_is_not_taken_for_a_list_of_letters() -> None:
    """``tools="calendar"`` is a common slip."""
    with pytest.raises(ConfigurationError, match=r"pass a list: tools=\['calendar'\]"):
        resolve_tools("calendar")


def test_a_toolkit_of_a_later_api_level_says_what_to_upgrade(install: Install) -> None:
    """It may rely on what this library does not do, so it is not loaded."""
    install("dice-tools", "dice", source=WORKING.format(name="dice").replace("[double]", "[double], api=2"))
    with pytest.raises(PluginError) as caught:
        load_toolkit("dice")
    assert str(caught.value) == (
        "The toolkit 'dice' of the distribution 'dice-tools' 1.2 cannot be loaded: it is written for level 2 of the "
        f"toolkit API, and codeact-tools {__version__} has level 1. Upgrade this library (pip install --upgrade "
        "codeact-tools), or install an older dice-tools."
    )


@pytest.mark.parametrize(
    ("requirement", "fits"),
    [
        ("codeact-tools>=99", False),
        ("CodeAct_Tools (<0.0.1)", False),
        ("codeact-tools[check]>=99; python_version > '3'", False),
        ("codeact-tools>=99; python_version < '3'", True),
        ("codeact-tools>=99; extra == 'more'", True),
        (f"codeact-tools=={__version__}", True),
        ("codeact-tools", True),
        ("codeact-tools-calendar>=99", True),
        ("codeact-tools ~ what", True),
    ],
)
def test_a_toolkit_for_another_version_of_this_library_is_told_without_importing(
    install: Install, requirement: str, fits: bool
) -> None:
    """An installer warns of it only once, when something else is installed; a run then fails in strange ways."""
    install("dice-tools", "dice", source=WORKING.format(name="dice"), requires=requirement)
    (record,) = [record for record in list_toolkits() if record.name == "dice"]
    error = f"it requires {requirement}, and codeact-tools {__version__} is installed"
    assert record.error == (None if fits else error)
    if not fits:
        with pytest.raises(PluginError, match="pip install --upgrade dice-tools"):
            load_toolkit("dice")
    assert "dice_tools_module" not in sys.modules


def test_an_argument_restricts_what_may_be_loaded_too(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """And never allows what the environment does not."""
    install("dice-tools", "dice", source=WORKING.format(name="dice"))
    install("double-tools", "pairs", source=WORKING.format(name="pairs"))
    assert [record.name for record in list_toolkits(enabled=["dice"]) if record.enabled] == ["dice"]
    with pytest.raises(PluginError, match=r"'pairs' .* installed but not enabled: enabled= leaves it out\."):
        resolve_tools(["dice", "pairs"], enabled=["dice"])
    monkeypatch.setenv(ENABLED, "pairs")
    with pytest.raises(PluginError, match="CODEACT_TOOLS_TOOLKITS='pairs'"):
        load_toolkit("dice", enabled=["dice"])
    assert not any(record.enabled for record in list_toolkits(enabled=["dice"]))


@pytest.mark.parametrize("option", ["hosts", "secrets", "packages"])
def test_a_string_where_a_list_belongs_is_refused(option: str) -> None:
    """``hosts="api.example.org"`` would be fifteen hosts of one letter."""
    with pytest.raises(DefinitionError, match=rf"{option}='api' is a string; write \['api'\]"):
        Toolkit("kit", tools=[], **{option: "api"})  # type: ignore[arg-type]


def test_listing_200_toolkits_imports_none_and_reads_two_files_of_each(
    install: Install, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is opened is counted, because times vary with the machine; the time is only shown."""
    for number in range(200):
        requires = "codeact-tools>=0.1"
        install(f"tools-{number}", f"kit{number}", source="raise RuntimeError('imported')", requires=requires)
    list_toolkits()
    opened: list[str] = []
    read_text = PathDistribution.read_text

    def watched(self: PathDistribution, filename: str) -> str | None:
        opened.append(filename)
        return read_text(self, filename)

    with monkeypatch.context() as patched:
        patched.setattr(PathDistribution, "read_text", watched)
        records = [record for record in list_toolkits() if record.name.startswith("kit")]
    assert len(records) == 200
    assert not any(record.error for record in records)
    assert opened.count("METADATA") <= 200 + len(list_toolkits()) - len(records)
    assert set(opened) == {"METADATA", "entry_points.txt"}
    assert not any(name.startswith("tools_") for name in sys.modules)
    times = [_seconds(list_toolkits) for _ in range(5)]
    with capsys.disabled():
        sys.stdout.write(f" [200 toolkits listed in {min(times) * 1000:.0f} ms] ")


def _seconds(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started
