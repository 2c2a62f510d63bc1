"""The commands about toolkits: a new one, its level, what it may do, what it lacks."""

from __future__ import annotations

import importlib
import json
import re
import sys
import textwrap
from pathlib import Path

import pytest

from codeact_tools import Session, ToolRegistry
from codeact_tools.cli import main
from codeact_tools.cli.scaffold import write_toolkit
from codeact_tools.dialects import DIALECTS
from codeact_tools.errors import ConfigurationError
from codeact_tools.prompts import worked_example
from codeact_tools.testing import UnconfinedSandbox
from codeact_tools.toolkits import ENABLED, GROUP

BANK = """
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict
from codeact_tools import ToolContext, Toolkit, tool

class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="BANK_")
    key: SecretStr = Field(description="The account's key.")
    retries: int = 3

@tool(read_only=True, open_world=True)
def balance(context: ToolContext) -> int:
    '''Tell the balance.

    Returns:
        In cents.

    Examples:
        >>> balance()
        1
    '''
    return 1

toolkit = Toolkit(
    "bank", tools=[balance], version="1.0", summary="Money.", config=Settings, hosts=["api.bank.example"],
    secrets=["BANK_PIN"], packages=["numpy"],
)
"""


@pytest.fixture
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed toolkit that needs a key."""
    folder = tmp_path / "installed"
    info = folder / "bank_tools-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "bank_tools.py").write_text(BANK)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bank-tools\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\nbank = bank_tools:toolkit\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "bank_tools", raising=False)
    monkeypatch.setenv(ENABLED, "bank, calendar")
    monkeypatch.chdir(tmp_path)
    for name in ("BANK_KEY", "BANK_PIN", "BANK_RETRIES"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("bank")
def test_show_tells_what_a_toolkit_may_do(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where its key is missing; no value of a setting is shown."""
    monkeypatch.setenv("BANK_RETRIES", "s3cr3t")
    assert main(["toolkits", "show", "bank"]) == 0
    assert capsys.readouterr().out == (
        "bank 1.0 (bank-tools 1.0)\n"
        "Money.\n"
        "  lock      not locked\n"
        "  hosts     api.bank.example\n"
        "  secrets   BANK_KEY, BANK_PIN\n"
        "  packages  numpy\n"
        "  settings\n"
        "    key (BANK_KEY): secret, required, not set. The account's key.\n"
        "    retries (BANK_RETRIES): int, default 3, set\n"
        "    BANK_PIN: secret, optional, not set\n"
        "\n"
        "  balance  open_world, read_only\n"
        "    def balance() -> int\n"
        "    Tell the balance.\n"
    )
    assert main(["toolkits", "lock", "bank"]) == 0
    assert main(["toolkits", "show", "bank"]) == 0
    assert "  lock      as accepted in codeact-tools.lock\n" in capsys.readouterr().out


@pytest.mark.usefixtures("bank")
def test_doctor_tells_what_is_missing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A required setting makes a toolkit useless; a secret that some tools may need is advice."""

    def found() -> dict[str, object]:
        main(["doctor", "--json"])
        checks = json.loads(capsys.readouterr().out)["checks"]
        return next(check for check in checks if (check["area"], check["name"]) == ("toolkit", "bank"))

    without = found()
    assert without["works"] is False
    assert "the setting 'key' (BANK_KEY) is missing. Set BANK_KEY in the environment" in str(without["detail"])
    monkeypatch.setenv("BANK_KEY", "s3cr3t-key")
    with_key = found()
    assert (with_key["works"], with_key["detail"]) == (True, "bank-tools 1.0")
    assert with_key["advice"] == "BANK_PIN is not set: some of its tools may need it"
    monkeypatch.setenv("BANK_PIN", "s3cr3t-pin")
    assert found()["advice"] == ""


@pytest.mark.usefixtures("bank")
def test_check_reports_without_a_key_what_it_can(capsys: pytest.CaptureFixture[str]) -> None:
    """Examples that could not run are no proof."""
    assert main(["toolkits", "check", "bank"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("bank: 1 tool, level silver\n")
    assert "bank: has no configuration, so no example ran: The toolkit 'bank' cannot be used" in out
    assert "Set BANK_KEY" in out


def test_a_new_toolkit_is_gold_before_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its folder is enough for the check; nothing is left to be filled in."""
    monkeypatch.chdir(tmp_path)
    assert main(["toolkits", "new", "weather_maps", "--directory", "made"]) == 0
    out, err = capsys.readouterr()
    folder = tmp_path / "made" / "codeact-tools-weather-maps"
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    assert sorted(out.split()) == sorted(str(path.relative_to(tmp_path)) for path in files)
    assert "pip install -e 'made/codeact-tools-weather-maps[dev]'" in err
    assert not any(re.search("@[A-Z]+@", path.read_text()) for path in files)
    assert {path.name for path in files} >= {"ci.yml", "mkdocs.yml", "py.typed", "pyproject.toml", "test_contract.py"}
    path_before = [*sys.path]
    assert main(["toolkits", "check", str(folder), "--level", "gold"]) == 0
    sys.path[:] = path_before
    assert capsys.readouterr().out.startswith("weather_maps: 1 tool, level gold\n")


def test_a_new_toolkit_shows_how_to_use_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model reads its demonstration as the example, and what this says is what happens."""
    monkeypatch.syspath_prepend(str(write_toolkit("word_lists", tmp_path).folder / "src"))
    toolkit = importlib.import_module("codeact_tools_word_lists").toolkit
    [demonstration] = toolkit.demonstrations
    [(code, shown)] = demonstration.steps
    with Session(tools=[toolkit], sandbox=UnconfinedSandbox()) as session:
        assert session.run(textwrap.dedent(code).strip()).stdout.strip() == shown.strip()
    assert all(demonstration.task in worked_example(ToolRegistry([toolkit]), each) for each in DIALECTS.values())


@pytest.mark.usefixtures("bank")
def test_a_name_that_an_installed_toolkit_has_is_pointed_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before somebody installs both and can use neither; it is written all the same."""
    assert main(["toolkits", "new", "bank", "--directory", str(tmp_path)]) == 0
    assert "warning: the distribution 'bank-tools' has a toolkit 'bank' already" in capsys.readouterr().err


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """Not even an empty folder is taken for free."""
    made = write_toolkit("weather", tmp_path)
    (made.folder / "README.md").write_text("mine")
    with pytest.raises(ConfigurationError, match="is there already, and nothing is overwritten"):
        write_toolkit("weather", tmp_path)
    assert (made.folder / "README.md").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("Weather", "weather"), ("weather-maps", "weather_maps"), ("class", "weather"), ("2fa", "weather"),
        ("max", "weather"), ("../up", "up"), ("", "weather"), ("a__b", "a_b"), ("tools", "weather"), ("été", "t"),
    ],
)  # fmt: skip
def test_names_are_checked_before_anything_is_written(tmp_path: Path, name: str, suggestion: str) -> None:
    """A good one is proposed."""
    with pytest.raises(ConfigurationError) as caught:
        write_toolkit(name, tmp_path)
    assert str(caught.value).endswith(f"e.g. {suggestion!r}.")
    assert list(tmp_path.iterdir()) == []


SHELF = """
from pathlib import Path
from typing import Self
from pydantic import BaseModel
from codeact_tools import ToolContext, Toolkit, tool

class Config(BaseModel):
    folder: Path

    @classmethod
    def for_examples(cls, folder: Path) -> Self:
        (folder / "notes.txt").write_text("buy milk")
        return cls(folder=folder)

@tool
def put(name: str, text: str, context: ToolContext) -> int:
    '''Put a text on the shelf.

    Args:
        name: Of the text.
        text: What to keep.

    Returns:
        Its length.

    Examples:
        >>> put("more.txt", "buy bread")
        9
    '''
    return (context.config.folder / name).write_text(text)

@tool(read_only=True)
def names(context: ToolContext) -> list[str]:
    '''List what is on the shelf.

    Returns:
        The names.

    Examples:
        >>> "notes.txt" in names()
        True
    '''
    return sorted(path.name for path in context.config.folder.iterdir())

first = Toolkit("first_shelf", tools=[put, names], version="1.0", summary="A shelf.", config=Config)
second = Toolkit("second_shelf", tools=[names], version="1.0", summary="A shelf.", config=Config)
"""


def test_a_configuration_for_examples_lets_all_of_them_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A toolkit that needs a setting is then checked without one; a project with two toolkits is checked for both."""
    entries = 'first_shelf = "shelf_tools:first"\nsecond_shelf = "shelf_tools:second"'
    (tmp_path / "pyproject.toml").write_text(f'[project.entry-points."{GROUP}"]\n{entries}\n')
    (tmp_path / "shelf_tools.py").write_text(SHELF)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert main(["toolkits", "check", str(tmp_path), "--level", "gold"]) == 0
    out = capsys.readouterr().out
    assert "first_shelf: 2 tools, level gold\n" in out
    assert "second_shelf: 1 tool, level gold\n" in out
    assert "note: first_shelf.put" not in out
    assert main(["toolkits", "check", str(tmp_path), "--examples", "safe"]) == 0
    assert "note: first_shelf.put: its examples did not run" in capsys.readouterr().out


def test_a_folder_that_holds_no_toolkit_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Which file is missing, or lacks the entry point, or names what is no toolkit."""
    assert main(["toolkits", "check", str(tmp_path)]) == 2
    assert "pyproject.toml' cannot be read" in capsys.readouterr().err
    project = tmp_path / "pyproject.toml"
    project.write_text("[project]\nname = 'x'\n")
    assert main(["toolkits", "check", str(tmp_path)]) == 2
    assert f'has no entry in [project.entry-points."{GROUP}"].' in capsys.readouterr().err
    for target, message in [("json:dumps", "is no Toolkit, but of type 'function'"), ("json:gone", "AttributeError")]:
        project.write_text(f'[project.entry-points."{GROUP}"]\nx = "{target}"\n')
        assert main(["toolkits", "check", str(tmp_path)]) == 2
        assert message in capsys.readouterr().err


def test_check_of_the_bundled_toolkit(capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code tells whether a level is reached."""
    assert main(["toolkits", "check", "calendar", "--examples", "none", "--level", "silver"]) == 0
    assert "calendar: was checked without its examples" in capsys.readouterr().out
    assert main(["toolkits", "check", "calendar", "--examples", "none", "--level", "gold"]) == 1
