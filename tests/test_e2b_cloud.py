"""The contract on E2B's cloud itself: ``pytest -m e2b_cloud`` with E2B_API_KEY set."""

from __future__ import annotations

import os

import pytest

pytest.importorskip("e2b_code_interpreter", reason="needs the extra e2b")

from codeact_tools import Session
from codeact_tools.sandbox.e2b import E2BSandbox
from codeact_tools.testing.contract import SandboxContract

pytestmark = [
    pytest.mark.e2b_cloud,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not os.environ.get("E2B_API_KEY"), reason="needs E2B_API_KEY and E2B's cloud"),
]


class TestE2BCloud(SandboxContract):
    """E2B's sandbox, in the cloud."""

    def sandbox(self) -> E2BSandbox:
        """From E2B's own template, for ten minutes at most."""
        return E2BSandbox(timeout=600, metadata={"purpose": "contract"})

    def test_the_templates_packages_can_be_imported(self) -> None:
        """What E2B's template holds is there for actions that are allowed to import it."""
        with Session(sandbox=self.sandbox(), packages=["numpy"], check="off") as session:
            assert session.run("import numpy\nint(numpy.arange(4).sum())").result == "6"
