"""The warm zygotes of this process: one for each mode, package set and tenant, started when first needed."""

from __future__ import annotations

import atexit
import os
import socket
import threading
import weakref
from typing import Final

from .launcher import Forked, Gone, Refused, Zygote
from .lockdown import Order
from .zygote import Setup

MOST: Final = 32
"""Zygotes that are kept: past it, those that have gone longest without a guest end."""

Kind = tuple[Setup, str]
"""A setup, and the tenant who alone gets guests of the zygote."""


class _Slot:
    """One zygote, and the lock under which it is started; others can start meanwhile."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.zygote: Zygote | None = None
        self._bridges: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    def note(self, forked: Forked) -> Forked:
        """Remember a guest, for as long as somebody holds its bridge open."""
        self._bridges.add(forked.bridge)
        return forked

    def idle(self) -> bool:
        """Whether the zygote is up and has no guests."""
        return self.zygote is not None and all(bridge.fileno() < 0 for bridge in list(self._bridges))


class Pool:
    """Zygotes by their kind. Safe to use from several threads, and in forked copies of the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slots: dict[Kind, _Slot] = {}
        """The one that was used last comes last."""
        self.refused: dict[bool, Refused] = {}
        """For a mode (``jail`` or not), what this machine refuses to it; so that it is tried once in a process."""

    def fork(self, setup: Setup, order: Order, tenant: str = "") -> Forked:
        """Order a guest from the tenant's zygote for ``setup``; start one if there is none, or if it has ended.

        Raises:
            Gone: The zygote ended, and so did the one that replaced it.
            Refused: It cannot be set up, or cannot fork.
        """
        kind = (setup, tenant)
        slot, zygote = self._zygote(kind)
        try:
            return slot.note(zygote.fork(order))
        except Gone:
            self._forget(kind, zygote)
            slot, zygote = self._zygote(kind)
            return slot.note(zygote.fork(order))

    def close(self) -> None:
        """End all zygotes, and with them all guests."""
        with self._lock:
            slots, self._slots = list(self._slots.values()), {}
        for slot in slots:
            if slot.zygote is not None:
                slot.zygote.close()

    def abandon(self) -> None:
        """Start afresh in a forked copy of the process; locks that were held then stay held forever in it."""
        slots, self._lock, self._slots = list(self._slots.values()), threading.Lock(), {}
        for slot in slots:
            if slot.zygote is not None:
                slot.zygote.abandon()

    def _zygote(self, kind: Kind) -> tuple[_Slot, Zygote]:
        with self._lock:
            slot = self._slots[kind] = self._slots.pop(kind) if kind in self._slots else _Slot()
        with slot.lock:
            if slot.zygote is None:
                slot.zygote = Zygote(kind[0])
                self._make_room()
            return slot, slot.zygote

    def _make_room(self) -> None:
        """End the zygotes beyond `MOST` that have no guests; one that is asked at this moment is started again."""
        with self._lock:
            idle = [kind for kind, slot in list(self._slots.items())[:-1] if slot.idle()]
            ending = [self._slots.pop(kind).zygote for kind in idle[: max(len(self._slots) - MOST, 0)]]
        for zygote in ending:
            if zygote is not None:
                zygote.close()

    def _forget(self, kind: Kind, zygote: Zygote) -> None:
        """Drop ``zygote``, and not the one by which another thread may have replaced it."""
        with self._lock:
            if kind in self._slots and self._slots[kind].zygote is zygote:
                del self._slots[kind]
        zygote.close()


def _process_wide() -> Pool:
    pool = Pool()
    atexit.register(pool.close)
    os.register_at_fork(after_in_child=pool.abandon)
    return pool


POOL = _process_wide()
"""Of the whole process, because a zygote takes a tenth of a second and some megabytes, and sessions come and go."""
