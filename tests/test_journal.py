"""The journal: durable, readable by others, whole up to the last record, and without secrets."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import random
import sqlite3
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codeact_tools import CodeActAgent, tool
from codeact_tools.errors import ConfigurationError, JournalError, RunBusy, RunNotFound
from codeact_tools.events import RunFailed, RunFinished, RunStarted, Usage
from codeact_tools.journal import (
    HIDDEN,
    Journal,
    Record,
    Redactor,
    SQLiteStore,
    default_path,
    fits,
    open_journal,
    read_exported,
)
from codeact_tools.testing import ScriptedModel

REPLIES = ["<execute>\nx = double(21)\nprint(x)\n</execute>", "It is 42."]


@tool(read_only=True)
def double(x: int) -> int:
    """Double a number.

    Args:
        x: The number.
    """
    return 2 * x


@tool(secrets=["password", "return"])
def log_in(user: str, password: str) -> str:
    """Log in.

    Args:
        user: Who.
        password: Their password.
    """
    return f"token-of-{user}"


def agent(journal: Any, replies: list[Any] | None = None) -> CodeActAgent:
    """An agent with a script."""
    return CodeActAgent([double, log_in], model=ScriptedModel(replies or REPLIES), sandbox="local", journal=journal)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a journal may be."""
    return tmp_path / "journal" / "runs.sqlite3"


def test_a_run_is_recorded_from_its_task_to_its_answer(path: Path) -> None:
    """Configuration, messages, replies, actions, calls and the answer are there, in order, with their times."""
    done = agent(path).run("What is twice 21?")
    journal = Journal(path)
    assert [(run.run_id, run.task, run.last) for run in journal.runs()] == [
        (done.run_id, "What is twice 21?", "run_finished")
    ]
    past = journal.past(done.run_id)
    assert past.status == "finished"
    assert past.answer == "It is 42."
    assert [role for role, _ in past.messages] == ["system", "user", "assistant", "user", "assistant"]
    assert past.configuration["tools"]["double"]["signature"] == "double(x: int) -> int"
    (action,) = past.actions
    assert action.ran == "x = double(21)\nprint(x)"
    assert [(call.record.tool, call.args, call.answer) for call in action.calls] == [("double", [21], {"value": 42})]
    kinds = [event.type for _, event in past.events]
    assert kinds == [
        "run_started", "turn_started", "reply_finished", "action_started", "action_checked", "tool_called",
        "tool_returned", "action_finished", "turn_started", "reply_finished", "run_finished",
    ]  # fmt: skip
    times = [at for at, _ in past.events]
    assert times == sorted(times)


def test_no_journal_where_none_is_wanted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``journal=False`` and ``CODEACT_TOOLS_JOURNAL=off`` leave no file."""
    monkeypatch.setenv("CODEACT_TOOLS_JOURNAL", str(path))
    agent(False).run("What is twice 21?")
    monkeypatch.setenv("CODEACT_TOOLS_JOURNAL", "off")
    agent(None).run("What is twice 21?")
    assert not path.exists()
    assert open_journal() is None


def test_the_default_file_is_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Runs are recorded where applications keep their state, readable by the user alone."""
    monkeypatch.delenv("CODEACT_TOOLS_JOURNAL", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    journal = open_journal()
    assert journal is not None
    assert tmp_path in default_path().parents
    assert default_path().exists()
    if sys.platform != "win32":
        assert default_path().stat().st_mode & 0o077 == 0


def test_a_default_journal_that_cannot_be_opened_costs_a_warning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where nobody asked for a journal the run goes on without one, and says so; one that was asked for is an error."""
    (tmp_path / "file").write_text("")
    monkeypatch.delenv("CODEACT_TOOLS_JOURNAL")
    for place in ("HOME", "XDG_STATE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(place, str(tmp_path / "file"))
    done = agent(None).run("What is twice 21?")
    assert done.answer == "It is 42."
    warnings = [event.message for event in done.events if event.type == "warning_raised"]
    assert any("cannot be resumed" in warning for warning in warnings)
    with pytest.raises(JournalError, match="cannot be opened"):
        agent(tmp_path / "file" / "runs.sqlite3").run("What is twice 21?")
    monkeypatch.setenv("CODEACT_TOOLS_JOURNAL", str(tmp_path / "file" / "runs.sqlite3"))
    with pytest.raises(JournalError, match="cannot be opened"):
        agent(None).run("What is twice 21?")


def test_a_full_disk_stops_the_run_before_the_effect(path: Path) -> None:
    """What cannot be recorded does not happen: the call is not made, and the error says what to do."""
    called: list[int] = []

    @tool
    def effect(x: int) -> int:
        """Do something."""
        called.append(x)
        return x

    store = Full(path)
    script = ["<execute>\neffect(1)\n</execute>", "<execute>\neffect(2)\n</execute>", "Done."]
    acting = CodeActAgent([effect], model=ScriptedModel(script), sandbox="local", journal=store)

    def fill(event: Any) -> None:
        store.full = event.type == "action_started" and bool(called)

    with pytest.raises(JournalError, match="make room, then resume"):
        acting.run("Do it.", on_event=fill)
    assert called == [1]
    store.full = False
    again = CodeActAgent([effect], model=ScriptedModel(["Done."]), sandbox="local", journal=store)
    assert again.resume("last").answer == "Done."
    assert called == [1, 2]


class Full(SQLiteStore):
    """A store whose disk can be full: SQLite itself is told that the file may not grow."""

    full = False

    def append(self, run_id: str, record: Record, *, durable: bool) -> None:
        """Append, if the file may still grow."""
        pages = self._connection.execute("PRAGMA page_count").fetchone()[0] if self.full else 1 << 30
        self._connection.execute(f"PRAGMA max_page_count = {pages}")
        if self.full:  # a record that cannot fit into what is left of the last page
            record = record._replace(data={**(record.data or {}), "filler": "x" * 10_000})
        super().append(run_id, record, durable=durable)


def test_others_read_while_a_run_is_written(path: Path) -> None:
    """Another process sees each record as soon as it is there."""
    writer = SQLiteStore(path)
    context = multiprocessing.get_context("spawn")
    for seq in range(1, 4):
        writer.append("r", Record(seq, 1.0, "message", None, {"messages": [], "closes_turn": False}), durable=seq == 3)
        with context.Pool(1) as pool:
            assert pool.apply(_count, (str(path),)) == seq


def _count(path: str) -> int:
    return len(SQLiteStore(path).read("r"))


def test_threads_write_without_gaps(path: Path) -> None:
    """Records of one run that several threads append are numbered without gaps."""
    log = Journal(path).log("r")

    def write() -> None:
        for _ in range(50):
            log.event(RunFailed(error="X", message="y", usage=Usage()))

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [record.seq for record in log.store.read("r")] == list(range(1, 401))


def test_one_process_at_a_time_goes_on_with_a_run(path: Path) -> None:
    """A run that is held cannot be resumed, decided about or deleted by others; the hold ends with its process."""
    done = agent(path).run("What is twice 21?")
    journal = Journal(path)
    with journal.store.claim(done.run_id):
        assert journal.store.is_held(done.run_id)
        with pytest.raises(RunBusy, match="another process"), SQLiteStore(path).claim(done.run_id):
            pass
        with pytest.raises(RunBusy):
            journal.delete(done.run_id)
    assert not journal.store.is_held(done.run_id)
    journal.delete(done.run_id)
    assert journal.runs() == []


def test_runs_are_found_by_the_beginning_of_their_name(path: Path) -> None:
    """A beginning is enough where it fits one run only; ``last`` is the newest."""
    first, second = agent(path).run("One?").run_id, agent(path).run("Two?").run_id
    journal = Journal(path)
    assert journal.find("last") == second
    assert journal.find(first[:16]) == first
    for wrong in ("nope", ""):
        with pytest.raises(RunNotFound, match="runs list"):
            journal.find(wrong)
    with pytest.raises(RunNotFound, match="knows no run"):
        journal.past("nope")


# ---- damage ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, list[Record], str]:
    """The bytes of a journal with one run, its records, and the run's name."""
    path = tmp_path_factory.mktemp("recorded") / "runs.sqlite3"
    script = [f"<execute>\nx{n} = double({n})\nprint(x{n})\n</execute>" for n in range(8)]
    store = SQLiteStore(path)
    done = agent(store, [*script, "Done."]).run("Double them." + " Please." * 200)
    records = store.read(done.run_id)
    store.close()
    return path.read_bytes(), records, done.run_id


def _cuts(size: int) -> list[int]:
    rng = random.Random(8)  # noqa: S311
    pages = [page + offset for page in range(0, size, 4096) for offset in (0, 1, 100, 4095)]
    return sorted({*range(0, 120, 7), *rng.sample(range(size), 60), *(cut for cut in pages if cut < size)})


def test_a_journal_cut_off_anywhere_opens_and_resumes(
    recorded: tuple[bytes, list[Record], str], tmp_path: Path
) -> None:
    """It keeps whole records up to the first that is lost, says what it cost, keeps the damaged file, and goes on."""
    whole, records, run_id = recorded
    kept: set[int] = set()
    for cut in _cuts(len(whole)):
        folder = tmp_path / str(cut)
        folder.mkdir()
        path = folder / "runs.sqlite3"
        path.write_bytes(whole[:cut])
        journal = Journal(path)
        left = journal.store.read(run_id)
        assert left == records[: len(left)]
        kept.add(len(left))
        if cut:
            assert journal.lost is not None
            assert f"{len(left)} records" in journal.lost
            assert list(folder.glob("*.damaged-*"))
        journal.log(run_id, records=len(left)).event(RunFailed(error="X", message="y", usage=Usage()), durable=True)
        assert len(journal.store.read(run_id)) == len(left) + 1
    assert len(kept) > 3, "the cuts all cost the same"


def test_a_run_whose_journal_was_cut_off_is_resumed(recorded: tuple[bytes, list[Record], str], tmp_path: Path) -> None:
    """It goes on from the last whole record to its answer."""
    whole, records, run_id = recorded
    path = tmp_path / "runs.sqlite3"
    path.write_bytes(whole[: len(whole) * 6 // 10])
    journal = Journal(path)
    past = journal.past(run_id)
    assert 0 < past.records < len(records)
    done = agent(journal, ["<execute>\nprint(x0)\n</execute>", "Done."]).resume(run_id)
    assert done.answer == "Done."
    warnings = [event.message for event in done.events if event.type == "warning_raised"]
    assert any("damaged" in warning for warning in warnings)


def test_a_journal_cut_off_in_its_write_ahead_log_loses_only_the_end(tmp_path: Path) -> None:
    """Records that are not yet in the main file survive up to the last whole transaction."""
    path = tmp_path / "runs.sqlite3"
    writer = SQLiteStore(path)
    for seq in range(1, 21):
        writer.append("r", Record(seq, 1.0, "message", None, {"messages": [], "closes_turn": False}), durable=True)
    main, log = path.read_bytes(), path.with_name("runs.sqlite3-wal").read_bytes()
    seen: list[int] = []
    for cut in range(0, len(log), 1777):
        copy = tmp_path / str(cut)
        copy.mkdir()
        (copy / "runs.sqlite3").write_bytes(main)
        (copy / "runs.sqlite3-wal").write_bytes(log[:cut])
        seen.append(len(SQLiteStore(copy / "runs.sqlite3").read("r")))
    assert seen == sorted(seen)
    assert seen[-1] in (19, 20)


@settings(max_examples=60)
@given(cut=st.integers(0, 20_000))
def test_an_exported_run_cut_off_anywhere_is_read_up_to_the_last_whole_line(cut: int) -> None:
    """Whatever is missing at the end, the whole lines before it are there."""
    lines = [
        json.dumps({"run": "r", "seq": n, "at": 1.0, "kind": "message", "event": None,
                    "data": {"messages": [["user", "ü" * 40]], "closes_turn": False}}, ensure_ascii=False) + "\n"
        for n in range(1, 90)
    ]  # fmt: skip
    text = "".join(lines)[:cut]
    whole = len("".join(lines)[:cut].splitlines()) if cut and text.endswith("\n") else max(text.count("\n"), 0)
    if whole == 0 and not text.endswith("}}"):
        with pytest.raises(JournalError):
            read_exported(text)
    else:
        assert read_exported(text).records >= whole


def test_a_file_that_is_no_journal_is_left_as_it_is(tmp_path: Path) -> None:
    """Something else under the journal's name is somebody's work, and is refused."""
    path = tmp_path / "shop.py"
    path.write_text("print('my program')")
    with pytest.raises(JournalError, match="no SQLite database"):
        Journal(path)
    assert path.read_text() == "print('my program')"


# ---- secrets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "AKIAABCDEFGHIJKLMNOP",
        "e2b_" + "0" * 40,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_well_known_forms_of_secrets_are_hidden(secret: str) -> None:
    """Keys and tokens that have a form of their own are found in any text, and nothing else is."""
    assert Redactor()(f"before {secret} after") == f"before {HIDDEN} after"


def test_secrets_are_hidden_in_structures() -> None:
    """Lists and dictionaries are walked; a password in a URL goes, the URL stays."""
    hidden = Redactor(values=["hunter2!"], patterns=[r"ID-\d+"])
    value = {"a": ["hunter2!", 1, None], "hunter2!": "ID-77", "url": "postgresql://me:s3cret@db/x"}
    assert hidden(value) == {"a": [HIDDEN, 1, None], HIDDEN: HIDDEN, "url": f"postgresql://{HIDDEN}@db/x"}


@given(st.text(max_size=200))
def test_ordinary_text_is_left_alone(text: str) -> None:
    """Text without a secret comes back as it is."""
    if not any(mark in text for mark in ("sk-", "://", "eyJ", "-----", "earer", "AKIA", "AIza", "_")):
        assert Redactor()(text) == text


def test_what_a_tool_declares_secret_never_enters_the_journal(path: Path) -> None:
    """Neither arguments nor results nor their copies in text: the file does not contain them."""
    script = ["<execute>\npw = 'swordfish' + '-99'\nt = log_in('ann', password=pw)\nlen(t)\n</execute>", "Done."]
    store = SQLiteStore(path)
    done = agent(store, script).run("Log in.")
    assert done.answer == "Done."
    (call,) = Journal(store).past(done.run_id).calls.values()
    assert call.kwargs == {"password": HIDDEN}
    assert call.record.arguments == {"user": "ann", "password": HIDDEN}
    assert call.answer == {"value": HIDDEN}
    store.close()
    for file in path.parent.iterdir():
        assert b"swordfish-99" not in file.read_bytes()
        assert b"token-of-ann" not in file.read_bytes()


def test_a_toolkits_secrets_never_enter_the_journal(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The values of the environment variables that a toolkit names are hidden wherever they turn up."""
    from codeact_tools import Toolkit

    monkeypatch.setenv("SHOP_KEY", "k3y-of-the-shop")

    @tool(read_only=True)
    def leak() -> str:
        """Return what it should not."""
        return f"the key is {os.environ['SHOP_KEY']}"

    kit = Toolkit("shop", tools=[leak], secrets=["SHOP_KEY"])
    script = ["<execute>\nprint(leak())\n</execute>", "It is k3y-of-the-shop."]
    store = SQLiteStore(path)
    CodeActAgent([kit], model=ScriptedModel(script), sandbox="local", journal=store).run("Leak.")
    store.close()
    assert all(b"k3y-of-the-shop" not in file.read_bytes() for file in path.parent.iterdir())


def test_events_survive_the_journal(path: Path) -> None:
    """What is read back is what was written."""
    log = Journal(path).log("r")
    started = RunStarted(run_id="r", task="t", model="m", sandbox="s", dialect="chat", tools=("a",))
    log.event(started)
    log.event(RunFinished(answer={"x": 1}, usage=Usage()))
    assert [event for _, event in Journal(path).read("r")] == [started, RunFinished(answer={"x": 1}, usage=Usage())]


def test_sqlite_tells_nothing_but_its_errors(path: Path) -> None:
    """Errors of the database become ours."""
    store = SQLiteStore(path)
    store.close()
    with pytest.raises(JournalError) as caught:
        store.append("r", Record(1, 1.0, "message"), durable=False)
    assert isinstance(caught.value.__cause__, sqlite3.Error)
    with pytest.raises(JournalError):
        store.read("r")


def test_secrets_in_any_argument_are_hidden(path: Path) -> None:
    """In ``*args`` and ``**kwargs``, inside of objects, and numbers; their copies in what is printed, too."""

    @dataclass
    class Login:
        user: str
        password: str

    @tool(secrets=["keys", "headers", "login", "pin"])
    def send(login: Login, pin: int, *keys: str, note: str, **headers: str) -> str:
        """Send something."""
        return f"{login.password} {pin} {keys} {headers}"

    code = (
        "print(send(Login('ann', 'sword' + 'fish9'), 1234000 + 567, 'first' * 3, 'second' * 3, "
        "note='a note', token='third' * 3))"
    )
    store = SQLiteStore(path)
    sending = CodeActAgent(
        [send], model=ScriptedModel([f"<execute>\n{code}\n</execute>", "Done."]), sandbox="local", journal=store
    )
    run = sending.run("Send.").run_id
    (call,) = Journal(store).past(run).calls.values()
    assert call.args == [HIDDEN] * 4
    assert call.kwargs == {"note": "a note", "token": HIDDEN}
    store.close()
    written = b"".join(file.read_bytes() for file in path.parent.iterdir())
    for secret in (b"swordfish9", b"1234567", b"firstfirst", b"secondsecond", b"thirdthird"):
        assert secret not in written


@pytest.mark.parametrize("pattern", ["(", r"\d*", ""])
def test_patterns_that_cannot_be_used_are_named(pattern: str) -> None:
    """What is no regular expression, or would hide everything."""
    with pytest.raises(ConfigurationError, match="secrets="):
        Redactor(patterns=[pattern])


def test_patterns_keep_their_groups_and_flags() -> None:
    """Each pattern is an expression of its own."""
    hidden = Redactor(patterns=[r"(ab|cd)-\1", r"(?i)secret\d"])
    assert hidden("ab-ab cd-ab SECRET1") == f"{HIDDEN} cd-ab {HIDDEN}"


@pytest.mark.parametrize(
    "piece", ["eyJ-", "://a:", "sk-", "-----BEGIN ", "Bearer a", "://:", "gho_xoxb-", "eyJaaaaaaaaaa."]
)
def test_a_hostile_text_costs_no_more_than_another(piece: str) -> None:
    """Looking for secrets takes time in proportion to the text: a million characters pass before the test's limit."""
    text = piece * (1_000_000 // len(piece))
    assert len(Redactor(values=["hunter2!"])(text)) <= 2 * len(text)


def test_a_mark_in_the_record_fits_any_text() -> None:
    """What was hidden cannot be compared; the rest must be the same."""
    assert fits({"a": [f"Bearer {HIDDEN}", 1]}, {"a": ["Bearer x", 1]})
    assert fits([f"{HIDDEN}-{HIDDEN}"], ["a-b"])
    for other in (["ab"], ["a-b", 1], "a-b", [1]):
        assert not fits([f"{HIDDEN}-{HIDDEN}"], other)
    assert not fits([1], [True])


def test_places_that_cannot_be_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Odd names of files work; one that no file can have, and a user without a home, are errors of ours."""
    monkeypatch.chdir(tmp_path)
    for name in ("a b?c#d%.db", ":memory:", "file:x.db", "ü\n.db"):
        SQLiteStore(name).append("r", Record(1, 1.0, "message"), durable=True)
        assert len(SQLiteStore(name).read("r")) == 1
    with pytest.raises(JournalError, match="cannot be opened"):
        Journal("a\0b")

    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("CODEACT_TOOLS_JOURNAL")
    monkeypatch.setattr(Path, "home", nowhere)
    done = agent(None).run("What is twice 21?")
    assert done.answer == "It is 42."
    with pytest.raises(JournalError, match="no place for a journal"):
        default_path()


def test_an_unknown_run_is_not_deleted(path: Path) -> None:
    """Its name may be misspelt."""
    with pytest.raises(RunNotFound):
        Journal(path).delete("nope")


def _hammer(path: str, number: int) -> int:
    store = SQLiteStore(path)
    for seq in range(1, 101):
        store.append(f"r{number}", Record(seq, 1.0, "message", None, {"x": "y" * 500}), durable=seq % 20 == 0)
    held = 0
    for _ in range(50):
        with contextlib.suppress(RunBusy), store.claim("one"):
            os.close(os.open(f"{path}.alone", os.O_CREAT | os.O_EXCL))
            Path(f"{path}.alone").unlink()
            held += 1
    return held


def test_processes_write_and_hold_at_once(path: Path) -> None:
    """None of them finds the file locked, and never do two hold the same run."""
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        held = pool.starmap(_hammer, [(str(path), number) for number in range(3)])
    assert sum(held) > 50
    store = SQLiteStore(path)
    assert [len(store.read(f"r{number}")) for number in range(3)] == [100] * 3
    assert store.lost is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_has_a_connection_of_its_own(path: Path) -> None:
    """Both go on writing."""
    store = SQLiteStore(path)
    store.append("r", Record(1, 1.0, "message"), durable=False)
    child = os.fork()
    if child == 0:
        store.append("child", Record(1, 1.0, "message"), durable=True)
        os._exit(len(store.read("r")))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    store.append("r", Record(2, 1.0, "message"), durable=True)
    assert (len(store.read("r")), len(store.read("child"))) == (2, 1)


def test_damage_to_one_run_leaves_the_others(path: Path) -> None:
    """What was written after the damage is kept, except in the run that it is in."""
    store = SQLiteStore(path)
    for seq in range(1, 5):
        for run in ("a", "b"):
            store.append(run, Record(seq, 1.0, "message", None, {"seq": seq}), durable=False)
    store._connection.execute("UPDATE records SET data = '{' WHERE run = 'a' AND seq = 2")
    assert len(store.read("a")) == 1
    assert len(store.read("b")) == 4
    assert store.lost is not None
    store.append("a", Record(2, 1.0, "message"), durable=True)
    assert len(store.read("a")) == 2
