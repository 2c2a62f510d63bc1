"""What every sandbox must do, as tests that the author of a back end can run.

    from codeact_tools.testing.contract import SandboxContract

    class TestMySandbox(SandboxContract):
        def sandbox(self) -> Sandbox:
            return MySandbox()

pytest finds the tests in the subclass. A back end that lacks something says so by an attribute, for example
`SandboxContract.files`, which skips the tests about it and is part of what the back end documents.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from ..events import Event, OutputReceived
from .contract_base import LINK
from .contract_host import Host, Nobody
from .contract_limits import LimitsContract
from .contract_process import ProcessContract

__all__ = ["Host", "Nobody", "SandboxContract"]


class SandboxContract(LimitsContract, ProcessContract):
    """The tests; a subclass whose name begins with ``Test`` says which sandbox they are about."""

    # ---- actions -----------------------------------------------------------------------------------------------------

    def test_names_persist(self) -> None:
        """Variables, functions and imports of one action are there in the next."""
        with self.session() as session:
            self.expect(session, "import math\nx = 20\ndef twice(n): return 2 * n", None)
            self.expect(session, "x = twice(x) + math.floor(2.5)\nx", "42")

    def test_the_last_expression_is_echoed(self) -> None:
        """Its repr is the result; None gives none, and an assignment is shown where nothing was printed."""
        with self.session() as session:
            self.expect(session, "'a' + 'b'", "'ab'")
            self.expect(session, "None", None)
            assert "6" in (session.run("n = 6").text)

    def test_output_is_streamed(self) -> None:
        """What is printed arrives while the action runs, each stream by itself, in order."""
        arrived: list[tuple[str, str, bool]] = []
        host = Host()

        def watch(event: Event) -> None:
            if isinstance(event, OutputReceived):
                arrived.append((event.stream, event.text, host.started.is_set()))

        with self.session(host, watch) as session:
            seen = session.run(
                "import sys\nprint('one')\nprint('two', file=sys.stderr)\nawait pause(0)\nprint('three')"
            )
        assert (seen.stdout, seen.stderr) == ("one\nthree\n", "two\n")
        assert arrived[0] == ("stdout", "one\n", False), "the first line arrived only after the call"

    def test_top_level_await(self) -> None:
        """Asynchronous tools are awaited without a function around them."""
        with self.session() as session:
            self.expect(session, "import asyncio\nawait asyncio.sleep(0)\nawait pause(0.01)", "0.01")

    def test_errors_show_the_actions_own_lines(self) -> None:
        """The traceback holds the failing line's source and no file of the guest; names bound before it are kept."""
        with self.session() as session:
            seen = session.run("kept = 1\ndef f():\n    return kept / 0\nf()")
            assert seen.error is not None
            assert seen.error.name == "ZeroDivisionError"
            assert "return kept / 0" in seen.text
            assert "guest" not in seen.text
            self.expect(session, "kept", "1")

    def test_nobody_types(self) -> None:
        """Standard input is refused with a message instead of a wait."""
        with self.session() as session:
            seen = session.run("input('name? ')")
            assert seen.error is not None
            assert "input is not available" in seen.error.message

    # ---- calls -------------------------------------------------------------------------------------------------------

    def test_values_cross_both_ways(self) -> None:
        """What leaves for a tool and comes back is equal, and of the same type."""
        values: list[object] = [
            None, True, -1, 2**80, 1.5, float("inf"), "é\n\0", b"\0\xff", (1, "a"), {1, 2}, frozenset("x"), {(1,): [3]},
            datetime(2024, 2, 29, 12, tzinfo=UTC), date(2024, 2, 29), timedelta(days=-1), Decimal("0.10"), UUID(int=5),
            {"$": 1}, [[[]]], 1 + 2j, "x" * 300_000,
        ]  # fmt: skip
        setup = (
            "inf = float('inf')\nfrom datetime import *\nfrom decimal import Decimal\nfrom uuid import UUID\n"
            "import datetime as dt"
        )
        with self.session() as session:
            self.expect(session, setup, None)
            for value in values:
                text = repr(value).replace("datetime.", "dt.")
                self.expect(session, f"v = {text}\nback = echo(v)\nback == v and type(back) is type(v)", "True")

    def test_objects_keep_their_types(self) -> None:
        """A result is an instance of the class that the signature names."""
        with self.session() as session:
            self.expect(
                session,
                "p = parcel()\n(p.id, p.colour is Colour.BLUE, str(p.due), p.price * 2, p.notes['fr'][0])",
                "(7, True, '2024-02-29', Decimal('25.00'), 'été')",
            )

    def test_exceptions_of_tools(self) -> None:
        """A declared one is caught by its class; another one is a failure of the tool, without the host's paths."""
        with self.session() as session:
            self.expect(session, "try: parcel(8)\nexcept Lost as error: text = str(error)\ntext", "'parcel 8 is lost'")
            seen = session.run("broken()")
            assert seen.error is not None
            assert (seen.error.kind, seen.error.name) == ("tool", "ToolFailed")
            assert "the shelf fell down" in seen.text
            assert str(Path(__file__).parent) not in seen.text

    def test_arguments_are_validated(self) -> None:
        """A wrong argument is an error that names the parameter, and the tool does not run."""
        with self.session() as session:
            seen = session.run("add(1, 'many')")
            assert seen.error is not None
            assert seen.error.name == "InvalidCall"
            assert "b" in seen.error.message

    def test_calls_run_concurrently(self) -> None:
        """Under `asyncio.gather` and from threads, calls overlap, and each answer finds its caller."""
        host = Host()
        with self.session(host) as session:
            self.expect(session, "import asyncio\nawait asyncio.gather(*(pause(n / 100) for n in range(9)))", str(
                [n / 100 for n in range(9)]
            ))  # fmt: skip
            assert host.most_at_once > 1, "the calls ran one after the other"
            threads = "from concurrent.futures import ThreadPoolExecutor as P\nwith P(4) as p:\n    "
            self.expect(
                session, threads + "r = list(p.map(add, range(50), range(50)))\nr == [*range(0, 100, 2)]", "True"
            )

    def test_streams(self) -> None:
        """A generator tool yields item by item; leaving early closes it on the host."""
        host = Host()
        with self.session(host) as session:
            self.expect(session, "[n async for n in count(5)]", "[0, 1, 2, 3, 4]")
            code = "stream = count(10**9)\nfirst = await anext(stream)\nawait stream.aclose()\nfirst"
            self.expect(session, code, "0")
            self.expect(session, "add(1, 1)", "2")
            assert self.soon(lambda: host.ended == ["closed", "closed"]), f"not closed on the host: {host.ended}"

    def test_unknown_tools_are_denied(self) -> None:
        """A call that the guest makes up is answered with a denial, and nothing else happens."""
        with self.session() as session:
            seen = session.run(LINK + "reply = link.call('\"os.system\"', ['true'], {})\nreply['op'], reply['type']")
            assert seen.result == "('raise', 'ToolDenied')", seen.text

    # ---- files -------------------------------------------------------------------------------------------------------

    def test_files_go_in_and_come_out(self) -> None:
        """Uploads are in the working folder; what an action writes there is an artifact, byte for byte."""
        self.need(self.files, "working folder")
        data = bytes(range(256)) * 4096
        with self.session() as session:
            session.upload("in/data.bin", data)
            code = "d = open('in/data.bin', 'rb').read()\nopen('out.bin', 'wb').write(d[::-1])"
            seen = self.expect(session, code, str(len(data)))
            assert [(each.name, each.data) for each in seen.artifacts] == [("out.bin", data[::-1])]
            assert session.download("in/data.bin") == data
            assert self.expect(session, "1", "1").artifacts == ()

    def test_files_stay_in_the_folder(self) -> None:
        """Paths that lead out of it are refused."""
        with self.session() as session:
            for path in ("../out", "/etc/hostname", "a/../../b"):
                try:
                    session.download(path)
                except FileNotFoundError:
                    continue
                raise AssertionError(f"{path!r} could be read")
