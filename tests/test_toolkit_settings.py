"""Settings of toolkits: read when a registry takes the toolkit, missing ones named, secrets known and never shown."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import AliasChoices, BaseModel, Field, SecretBytes, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from codeact_tools import ToolContext, Toolkit, ToolRegistry, tool
from codeact_tools.errors import ConfigurationError
from codeact_tools.settings import configured, for_examples, secret_values, settings_of
from codeact_tools.tools import invoke


class BankSettings(BaseSettings):
    """How to reach the bank."""

    model_config = SettingsConfigDict(env_prefix="BANK_")

    key: SecretStr = Field(description="The account's key.")
    url: str = "https://bank.example.org"
    retries: int = Field(3, ge=0)
    region: str = Field("eu", validation_alias=AliasChoices("BANK_AREA", "AREA"))
    roots: list[Path] = []


@tool(read_only=True)
def balance(context: ToolContext) -> str:
    """Tell the balance."""
    config: BankSettings = context.config
    return f"{config.url} {len(config.key.get_secret_value())}"


bank = Toolkit("bank", tools=[balance], config=BankSettings, secrets=["BANK_PIN"], packages=["numpy", "pandas"])


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine's own environment."""
    for name in ("BANK_KEY", "BANK_URL", "BANK_RETRIES", "BANK_AREA", "AREA", "BANK_ROOTS", "BANK_PIN"):
        monkeypatch.delenv(name, raising=False)


async def test_a_toolkit_is_configured_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own pydantic-settings class reads it, when a registry takes the toolkit and not before."""
    monkeypatch.setenv("BANK_KEY", "s3cr3t-key")
    spec = ToolRegistry([bank]).get("balance")
    assert await invoke(spec, spec.bind([], {}), ToolContext()) == "https://bank.example.org 10"


def test_a_missing_setting_is_named_with_its_variable_and_what_to_do() -> None:
    """Toolkit, setting, environment variable, and the way to give it in the program."""
    with pytest.raises(ConfigurationError) as caught:
        ToolRegistry([bank])
    assert str(caught.value) == (
        "The toolkit 'bank' cannot be used: the setting 'key' (BANK_KEY) is missing. Set BANK_KEY in the environment, "
        "or give it in the program: tools=[toolkit.configured(BankSettings(key=...))]."
    )


def test_a_wrong_setting_is_named_and_no_value_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in the message nor in what is printed with a traceback."""
    monkeypatch.setenv("BANK_KEY", "s3cr3t-key")
    monkeypatch.setenv("BANK_RETRIES", "s3cr3t-typo")
    with pytest.raises(
        ConfigurationError, match=r"'retries' \(BANK_RETRIES\): Input should be a valid integer"
    ) as caught:
        ToolRegistry([bank])
    assert "s3cr3t" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


class Span(BaseSettings):
    """Settings that are wrong together."""

    model_config = SettingsConfigDict(env_prefix="SPAN_")
    low: int = 0
    high: int = 10

    @model_validator(mode="after")
    def _in_order(self) -> Span:
        if self.low > self.high:
            raise ValueError("low is more than high")
        return self


def test_settings_that_do_not_fit_each_other_are_told_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what the class says, and those of them that the environment has."""
    monkeypatch.setenv("SPAN_LOW", "20")
    with pytest.raises(ConfigurationError) as caught:
        ToolRegistry([Toolkit("span", tools=[balance], config=Span)])
    assert str(caught.value) == (
        "The toolkit 'span' cannot be used: low is more than high. Correct SPAN_LOW in the environment, "
        "or give the settings in the program: tools=[toolkit.configured(Span(...))]."
    )


@dataclass
class Plain:
    """Settings that the application gives."""

    url: str
    key: SecretStr | None = None


class Model(BaseModel):
    """The same as a model."""

    url: str


class Odd:
    """A class whose making fails."""

    def __init__(self) -> None:
        raise OSError("no such folder")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            Plain,
            "The toolkit 'shop' lacks the setting 'url'. Give it in the program: "
            "tools=[toolkit.configured(Plain(url=...))].",
        ),
        (
            Model,
            "The toolkit 'shop' cannot be used: the setting 'url' is missing. Give it in the program: "
            "tools=[toolkit.configured(Model(url=...))].",
        ),
        (Odd, "The configuration of the toolkit 'shop' cannot be made: OSError: no such folder"),
    ],
)
def test_other_classes_are_configurations_too(config: Any, message: str) -> None:
    """Without an environment to read, the message says how the program gives the setting."""
    with pytest.raises(ConfigurationError) as caught:
        ToolRegistry([Toolkit("shop", tools=[], config=config)])
    assert str(caught.value) == message


def test_an_instance_is_taken_as_it_is() -> None:
    """So is a toolkit without a configuration."""
    given = Toolkit("shop", tools=[]).configured(Plain(url="x"))
    assert configured(given) is given
    assert configured(Toolkit("shop", tools=[])).config is None


def test_settings_are_listed_without_making_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name, variables, type, default, and whether it is set; no value of any."""
    monkeypatch.setenv("BANK_KEY", "s3cr3t-key")
    monkeypatch.setenv("area", "s3cr3t-area")
    listed = {each.name: each for each in settings_of(bank)}
    assert list(listed) == ["key", "url", "retries", "region", "roots", "BANK_PIN"]
    key = listed["key"]
    assert (key.variables, key.type, key.default, key.doc) == (("BANK_KEY",), "SecretStr", "", "The account's key.")
    assert (key.required, key.secret, key.is_set, key.missing) == (True, True, True, False)
    assert listed["url"].variables == ("BANK_URL",)
    assert (listed["url"].default, listed["url"].is_set) == ('"https://bank.example.org"', False)
    assert listed["region"].variables == ("BANK_AREA", "AREA")
    assert listed["region"].is_set
    assert (listed["roots"].type, listed["roots"].default) == ("list[Path]", "[]")
    assert (listed["BANK_PIN"].secret, listed["BANK_PIN"].is_set) == (True, False)
    assert "s3cr3t" not in repr(settings_of(bank))


def test_case_sensitive_settings_keep_their_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """As pydantic-settings reads them."""

    class Exact(BaseSettings):
        model_config = SettingsConfigDict(case_sensitive=True)
        token: str

    (setting,) = settings_of(Toolkit("exact", tools=[], config=Exact))
    assert (setting.variables, setting.missing) == (("token",), True)
    monkeypatch.setenv("token", "x")
    assert not settings_of(Toolkit("exact", tools=[], config=Exact))[0].missing


def test_the_values_of_all_secrets_are_known_for_keeping_them_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of configurations at any depth, and of named environment variables; very short ones are not."""

    class Deep(BaseModel):
        keys: dict[str, list[SecretStr]]
        raw: SecretBytes
        plain: Plain
        short: Annotated[SecretStr, Field()] = SecretStr("abc")
        open: str = "not-secret"

    deep = Deep(
        keys={"a": [SecretStr("in-a-list")]},
        raw=SecretBytes(b"in-bytes"),
        plain=Plain("url", SecretStr("in-dataclass")),
    )
    monkeypatch.setenv("BANK_KEY", "s3cr3t-key")
    monkeypatch.setenv("BANK_PIN", "s3cr3t-pin")
    registry = ToolRegistry([bank, Toolkit("deep", tools=[], config=deep)])
    assert secret_values(registry) == {"s3cr3t-key", "s3cr3t-pin", "in-a-list", "in-bytes", "in-dataclass"}
    assert secret_values(ToolRegistry()) == frozenset()


def test_a_registry_knows_the_packages_of_its_toolkits() -> None:
    """Each once, in order."""
    plots = Toolkit("plots", tools=[], packages=["pandas", "matplotlib"])
    registry = ToolRegistry([dataclasses.replace(bank, config=None), plots])
    assert registry.packages == ("numpy", "pandas", "matplotlib")


def test_a_configuration_may_know_one_for_examples(tmp_path: Path) -> None:
    """Made in a folder, or without one; what the program has given is kept."""

    class InFolder(BaseModel):
        root: Path

        @classmethod
        def for_examples(cls, folder: Path) -> InFolder:
            return cls(root=folder / "sample")

    class Anywhere(BaseModel):
        url: str

        @classmethod
        def for_examples(cls) -> Anywhere:
            return cls(url="sample://")

    def made(config: Any) -> Any:
        found = for_examples(Toolkit("kit", tools=[], config=config), tmp_path)
        return found.config if found else None

    assert made(InFolder) == InFolder(root=tmp_path / "sample")
    assert made(Anywhere) == Anywhere(url="sample://")
    assert made(Anywhere(url="mine://")) is None
    assert made(Plain) is None
