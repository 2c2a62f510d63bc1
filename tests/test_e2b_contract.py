"""The contract of a sandbox, kept by E2B's: the unmodified SDK against a server of E2B's protocols on loopback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import ClassVar

import pytest

pytest.importorskip("e2b_code_interpreter", reason="needs the extra e2b")
pytest.importorskip("starlette", reason="needs the extra e2b-test")

from codeact_tools.sandbox.e2b import E2BSandbox
from codeact_tools.testing.contract import SandboxContract
from codeact_tools.testing.e2b_server import E2BServer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the jail needs Linux")


@pytest.fixture(scope="module")
def cloud() -> Iterator[E2BServer]:
    """A server for the tests of this module, in which no sandbox is left in the end."""
    with E2BServer() as server:
        yield server
        assert not server.sandboxes


class TestE2B(SandboxContract):
    """E2B's sandbox."""

    meters: ClassVar[bool] = False

    @pytest.fixture(autouse=True)
    def _cloud(self, cloud: E2BServer) -> None:
        self.cloud = cloud

    def sandbox(self) -> E2BSandbox:
        """One whose cloud is the server of this module."""
        return E2BSandbox(**self.cloud.options)
