"""The synchronous face: who runs the event loop, and what Ctrl-C does."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import os
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from codeact_tools import Session, tool
from codeact_tools._portal import Portal
from codeact_tools.errors import ConfigurationError

Run = Callable[[Coroutine[Any, Any, Any]], Any]
WITHIN = 30.0


@pytest.fixture
def portal() -> Iterator[Portal]:
    """A portal that is closed afterwards."""
    with Portal() as portal:
        yield portal


async def here() -> int:
    """The thread that runs this."""
    return threading.get_ident()


async def until_cancelled(ready: threading.Event, cleaned: threading.Event) -> None:
    """Wait; say when that begins, and, a step after the cancellation, that all is cleaned up."""
    ready.set()
    try:
        await asyncio.sleep(WITHIN)
    finally:
        await asyncio.sleep(0.01)
        cleaned.set()


def interrupt_when(ready: threading.Event) -> None:
    """Send SIGINT to this process when it is ready for that."""

    def send() -> None:
        ready.wait(WITHIN)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=send, daemon=True).start()


def test_the_waiting_thread_runs_the_loop(portal: Portal) -> None:
    """Nobody has to be woken: what is run runs in the thread that waits for it, with its context variables."""
    name = contextvars.ContextVar("name", default="")
    name.set("caller")

    async def look() -> tuple[int, str]:
        return threading.get_ident(), name.get()

    assert portal.run(look()) == (threading.get_ident(), "caller")


def test_what_is_left_goes_on_between_two_calls(portal: Portal) -> None:
    """A task that was started runs on though nobody waits, in the keeper's thread; afterwards the loop comes back."""
    done = threading.Event()
    threads: list[int] = []

    async def later() -> None:
        await asyncio.sleep(0)
        threads.append(await here())
        done.set()

    async def start() -> asyncio.Task[None]:
        return asyncio.create_task(later())

    task = portal.run(start())
    assert done.wait(WITHIN)
    assert threads != [threading.get_ident()]
    assert portal.run(here()) == threading.get_ident()
    assert task.done()


def test_what_is_left_goes_on_after_a_long_call(portal: Portal) -> None:
    """Also where the keeper has gone to sleep because a call took long."""
    done = threading.Event()

    async def start() -> asyncio.Task[None]:
        await asyncio.sleep(0.2)
        return asyncio.create_task(later())

    async def later() -> None:
        done.set()

    kept = portal.run(start())
    assert done.wait(WITHIN)
    assert portal.run(asyncio.wait_for(kept, WITHIN)) is None


async def test_it_works_where_a_loop_runs_already(portal: Portal) -> None:
    """In a notebook the keeper runs it, since one thread cannot run two loops."""
    assert portal.run(here()) != threading.get_ident()
    with pytest.raises(KeyError):
        portal.run(failing(KeyError("x")))


def test_two_threads_can_wait_at_once(portal: Portal) -> None:
    """The second call is under way while the first one runs the loop, and goes on when that is over."""
    first, second = threading.Event(), threading.Event()

    async def wait_for(event: threading.Event, then: threading.Event) -> int:
        then.set()
        while not event.is_set():  # noqa: ASYNC110 - a thread sets it
            await asyncio.sleep(0.001)
        return await here()

    with concurrent.futures.ThreadPoolExecutor() as pool:
        one = pool.submit(portal.run, wait_for(second, first))
        assert first.wait(WITHIN)
        both = threading.Event()
        other = pool.submit(portal.run, wait_for(both, second))
        one.result(WITHIN)
        both.set()
        assert other.result(WITHIN) not in (threading.get_ident(), None)


def test_a_call_from_within_is_refused() -> None:
    """A tool that calls its own session synchronously would wait for itself, so it is told what to do."""
    session: Session

    @tool
    async def again() -> str:
        """Evaluate an expression where the calling action runs."""
        return session.run("1").text

    with Session(tools=[again], sandbox="local", check="off") as session:
        seen = session.run("await again()")
        assert "Await the asynchronous one" in (seen.calls[0].error or "")
        assert session.run("1 + 1").result == "2"


async def failing(error: BaseException) -> None:
    """Raise the error, a step later."""
    await asyncio.sleep(0)
    raise error


@pytest.mark.parametrize("error", [ValueError("x"), concurrent.futures.CancelledError(), SystemExit(3)])
def test_an_exception_comes_out_as_it_is(portal: Portal, error: BaseException) -> None:
    """Whatever the coroutine raises; the portal can be used afterwards."""
    with pytest.raises(type(error)) as caught:
        portal.run(failing(error))
    assert caught.value is error
    assert portal.run(asyncio.sleep(0, 5)) == 5


def test_a_cancelled_call_says_so(portal: Portal) -> None:
    """With the exception of futures that threads wait for, as `Portal.run` is one."""
    with pytest.raises(concurrent.futures.CancelledError):
        portal.run(failing(asyncio.CancelledError()))


def test_ctrl_c_cleans_up_first(portal: Portal) -> None:
    """The first Ctrl-C cancels the coroutine, and is raised when that has cleaned up; then all is as before."""
    ready, cleaned = threading.Event(), threading.Event()

    interrupt_when(ready)
    with pytest.raises(KeyboardInterrupt):
        portal.run(until_cancelled(ready, cleaned))
    assert cleaned.is_set()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert portal.run(asyncio.sleep(0, "well")) == "well"


def test_ctrl_c_is_raised_also_where_the_coroutine_ends_well(portal: Portal) -> None:
    """A coroutine that swallows its cancellation does not swallow the Ctrl-C."""
    ready = threading.Event()

    async def work() -> str:
        ready.set()
        try:
            await asyncio.sleep(WITHIN)
        except asyncio.CancelledError:
            return "unmoved"
        return "undisturbed"

    interrupt_when(ready)
    with pytest.raises(KeyboardInterrupt):
        portal.run(work())


def test_a_second_ctrl_c_does_not_wait(portal: Portal) -> None:
    """Where cleaning up takes long; it goes on in the background."""
    ready, cleaning, go_on, cleaned = (threading.Event() for _ in range(4))

    async def work() -> None:
        ready.set()
        try:
            await asyncio.sleep(WITHIN)
        finally:
            cleaning.set()
            while not go_on.is_set():  # noqa: ASYNC110 - the test sets it
                await asyncio.sleep(0.001)
            cleaned.set()

    interrupt_when(ready)
    interrupt_when(cleaning)
    with pytest.raises(KeyboardInterrupt):
        portal.run(work())
    assert not cleaned.is_set()
    go_on.set()
    assert cleaned.wait(WITHIN)


def test_another_handler_may_raise(portal: Portal) -> None:
    """Where the application handles Ctrl-C itself and raises, the coroutine is cancelled and cleans up, too."""
    ready, cleaned = threading.Event(), threading.Event()

    def raising(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, raising)
    try:
        interrupt_when(ready)
        with pytest.raises(KeyboardInterrupt):
            portal.run(until_cancelled(ready, cleaned))
    finally:
        signal.signal(signal.SIGINT, before)
    assert cleaned.is_set()


def test_closing_twice_is_harmless() -> None:
    """And nothing runs afterwards."""
    portal = Portal()
    portal.run(asyncio.sleep(0))
    portal.close()
    portal.close()
    with pytest.raises(ConfigurationError, match="closed"):
        portal.run(asyncio.sleep(0))


def test_a_portal_that_nobody_used_closes() -> None:
    """Its thread was never needed, and is not left behind."""
    portal = Portal()
    portal.close()
    assert not portal._keeper.is_alive()
    with pytest.raises(ConfigurationError, match="closed"):
        portal.run(asyncio.sleep(0))


def test_what_is_left_goes_on_after_a_first_call_that_waited_for_nothing(portal: Portal) -> None:
    """The keeper is there as soon as somebody may need it."""
    done = threading.Event()

    async def leave() -> None:
        asyncio.get_running_loop().call_later(0.001, done.set)

    portal.run(leave())
    assert done.wait(WITHIN)
