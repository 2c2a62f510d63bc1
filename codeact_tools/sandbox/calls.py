"""What answers calls: the handler, its refusals, and work in threads."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ..wire import Json
from ..wire.scalars import clean

if TYPE_CHECKING:
    from .exchange import Exchange


@dataclass(frozen=True, slots=True)
class Stream:
    """A call's result that is sent item by item, as the action asks for them."""

    items: AsyncIterator[Json]
    """Wire values. Closed when the action takes no more."""


class CallRefused(Exception):
    """Answers a call with an exception in the action.

    Args:
        type: Name of an exception class that the guest knows.
        message: For the model.
        fields: The exception's attributes, as wire values.
    """

    def __init__(self, type: str, message: str, fields: Mapping[str, Json] | None = None) -> None:  # noqa: A002
        super().__init__(message)
        self.type = type
        self.message = message
        self.fields = fields


class Work(Protocol):
    """A call that a worker thread answers."""

    def run(self) -> Json | Coroutine[Any, Any, Json | Stream]:
        """Do the work, in the worker thread; what has to go on on the event loop is returned as a coroutine.

        Raises:
            CallRefused: What the action sees as an exception.
        """
        ...

    def answered(self) -> None:
        """The answer is there and will be sent; told in the worker thread."""
        ...

    def sent(self) -> None:
        """The answer is sent, and the guest works: the time for what nobody waits for; told in the worker thread."""
        ...

    def cancelled(self) -> None:
        """Nobody wants the answer any longer, though a thread cannot be stopped; told on the event loop."""
        ...


class CallHandler(Protocol):
    """What answers the calls of one action, and takes its output.

    It may have a method ``quick``, see `Quick`, and then takes output in any thread, one piece at a time; and a method
    ``broke_off``, which is told, before its streams are closed, that the action has ended in the middle: its guest is
    gone, or the host gave it up.
    """

    def call(
        self,
        id: int,  # noqa: A002
        tool: str,
        args: list[Json],
        kwargs: dict[str, Json],
    ) -> Coroutine[Any, Any, Json | Stream] | Work:
        """Begin to answer one call, without waiting: calls run concurrently.

        Returns:
            A coroutine, to be run in a task of its own; or work for a thread, which is answered from that thread.

        Raises:
            CallRefused: What the action sees as an exception; the coroutine may raise it, too.
        """
        ...

    def on_output(self, stream: Literal["stdout", "stderr"], text: str) -> None:
        """Take a piece of output."""
        ...


class Quick(Protocol):
    """A method ``quick``, which a `CallHandler` may offer besides, so that a call needs no event loop."""

    def __call__(
        self,
        id: int,  # noqa: A002
        tool: str,
        args: list[Json],
        kwargs: dict[str, Json],
    ) -> Work | None:
        """Begin a call that a thread can answer alone, in the thread that reads from the guest; else do nothing.

        `CallHandler.call` is not running meanwhile.

        Returns:
            The work, which is done in the same thread next; None to have `CallHandler.call` begin it.

        Raises:
            CallRefused: What the action sees as an exception.
        """
        ...


class Raises:
    """Work that fails."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def run(self) -> Json:
        """Raise the error."""
        raise self._error

    def answered(self) -> None:
        """It has no record."""

    def sent(self) -> None:
        """It has no record."""

    def cancelled(self) -> None:
        """It has no record."""


class Job:
    """A call in a worker thread. It ends once: answered by the thread, or given up by the event loop."""

    def __init__(self, exchange: Exchange, call: int, work: Work) -> None:
        self.call = call
        self._work = work
        self._exchange = exchange
        self._loop = exchange.bridge.loop
        self._lock = threading.Lock()
        self._over = False

    def give_up(self) -> bool:
        """Nobody wants the answer any longer; False where it is there already."""
        with self._lock:
            before, self._over = self._over, True
        if not before:
            self._work.cancelled()
        return not before

    def run(self) -> None:
        """Work and answer, in the worker thread."""
        exchange, call = self._exchange, self.call
        try:
            try:
                value = self._work.run()
                if isinstance(value, Coroutine):
                    self._tell(exchange.go_on, self, value)
                    return
                message: dict[str, Json] = {"op": "return", "call": call, "value": value}
            except CallRefused as refusal:
                message = refusal_message(call, refusal)
            frame = exchange.frame(call, message)
        except BaseException as failure:
            self._tell(exchange.fail, failure)
            return
        with self._lock:
            if self._over:
                return
            self._over = True
            self._work.answered()
        exchange.answered(self, frame)
        self._work.sent()

    def _tell(self, function: Callable[..., None], *args: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits for this any longer
            self._loop.call_soon_threadsafe(function, *args)


def refusal_message(call: int, refusal: CallRefused) -> dict[str, Json]:
    """The answer to a call that is refused."""
    return {
        "op": "raise",
        "call": call,
        "type": refusal.type,
        "message": clean(refusal.message),
        "fields": refusal.fields,
    }
