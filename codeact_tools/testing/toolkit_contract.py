"""What every toolkit should keep, as tests that its author can run.

    from codeact_tools.testing import ToolkitContract
    from finance_tools import toolkit

    class TestFinance(ToolkitContract):
        toolkit = toolkit

pytest finds the tests in the subclass: one for each check of `codeact_tools.testing.conformance`. ``codeact-tools
toolkits check`` makes the same checks of an installed toolkit.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from ..docgen.examples import Policy
from ..settings import for_examples
from ..toolkits import load_toolkit
from ..tools import Toolkit
from .conformance import CHECKS, Subject, empty_folder, perform

__all__ = ["ToolkitContract"]


class ToolkitContract:
    """The tests; a subclass whose name begins with ``Test`` says which toolkit they are about.

    Examples run in an empty folder that is removed afterwards. A toolkit that needs a configuration, or files to work
    on, gets them from its configuration's ``for_examples`` (see `settings.for_examples`), or in `prepare`::

        class TestFiles(ToolkitContract):
            examples = "all"

            def prepare(self, folder: Path) -> Toolkit:
                (folder / "notes.txt").write_text("buy milk")
                return toolkit.configured(FilesConfig(roots=[folder]))
    """

    toolkit: ClassVar[Toolkit | str]
    """The toolkit, or the name of an installed one."""
    examples: ClassVar[Policy] = "safe"
    """Which examples run: ``safe``: of tools that are declared to change nothing and to reach out to nothing; ``all``
    where the folder, or a server in the test, takes the consequences."""
    tool_tokens: ClassVar[int] = 800
    """Most tokens of a prompt for one tool in full."""
    toolkit_tokens: ClassVar[int] = 6000
    """Most tokens of a prompt for the toolkit in full."""
    probe_seconds: ClassVar[float] = 10.0
    """After which a call with an edge value counts as failed."""

    def prepare(self, folder: Path) -> Toolkit:
        """Return the toolkit, ready to be called, with what its examples expect in ``folder``, where they run."""
        if not hasattr(self, "toolkit"):
            raise NotImplementedError(
                "a subclass of ToolkitContract says which toolkit it tests: toolkit = ..., or define prepare()"
            )
        toolkit = self.toolkit if isinstance(self.toolkit, Toolkit) else load_toolkit(self.toolkit)
        return for_examples(toolkit, folder) or toolkit

    def test_registers(self) -> None:
        """There are tools, each of them can be registered, and this library knows the toolkit's API level."""
        self._check("registers")

    def test_described(self) -> None:
        """The toolkit has a summary and a version, each tool a summary."""
        self._check("described")

    def test_fits_a_prompt(self) -> None:
        """Neither a tool nor the toolkit takes more of a prompt than allowed."""
        self._check("fits a prompt")

    def test_documented(self) -> None:
        """Each docstring says what each parameter means, what is returned, and when each error is raised."""
        self._check("documented")

    def test_typed(self) -> None:
        """No parameter, result or field is Any or object."""
        self._check("typed")

    def test_imports_quietly(self) -> None:
        """Importing it reads no environment variable, no foreign file and no host, and writes and starts nothing."""
        self._check("imports quietly")

    def test_examples_hold(self) -> None:
        """Each tool has an example, and what an example shows is what comes out."""
        self._check("examples hold")

    def test_values_round_trip(self) -> None:
        """Arguments and results arrive on the other side of the bridge as what they were; defaults are valid."""
        self._check("values round-trip")

    def test_errors_declared(self) -> None:
        """What a tool raises is declared: in its own body, in its examples, and for arguments at the limits."""
        self._check("errors declared")

    def test_effects_honest(self) -> None:
        """A tool does no more than its effects say, and reaches no host that the toolkit does not name."""
        self._check("effects honest")

    def _check(self, name: str) -> None:
        check = next(each for each in CHECKS if each.name == name)
        with empty_folder() as folder:
            subject = Subject(
                toolkit=self.prepare(folder),
                examples=self.examples,
                tool_tokens=self.tool_tokens,
                toolkit_tokens=self.toolkit_tokens,
                probe_seconds=self.probe_seconds,
                folder=folder,
            )
            result = perform(check, subject)
        if result.problems:
            listed = "\n".join(f"- {problem}" for problem in result.problems)
            raise AssertionError(f"{subject.toolkit.name} fails {name!r} (level {check.level}):\n{listed}")
