"""The warm zygotes of this process: one for each mode and package set, started when first needed."""

from __future__ import annotations

import atexit
import os
import threading

from .launcher import Forked, Gone, Refused, Zygote
from .lockdown import Order
from .zygote import Setup


class _Slot:
    """One zygote, and the lock under which it is started; others can start meanwhile."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.zygote: Zygote | None = None


class Pool:
    """Zygotes by their setup. Safe to use from several threads, and in forked copies of the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slots: dict[Setup, _Slot] = {}
        self.refused: dict[bool, Refused] = {}
        """For a mode (``jail`` or not), what this machine refuses to it; so that it is tried once in a process."""

    def fork(self, setup: Setup, order: Order) -> Forked:
        """Order a guest from the zygote for ``setup``; start one if there is none, or if it has ended.

        Raises:
            Gone: The zygote ended, and so did the one that replaced it.
            Refused: It cannot be set up, or cannot fork.
        """
        zygote = self._zygote(setup)
        try:
            return zygote.fork(order)
        except Gone:
            self._forget(setup, zygote)
            return self._zygote(setup).fork(order)

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

    def _zygote(self, setup: Setup) -> Zygote:
        with self._lock:
            slot = self._slots.setdefault(setup, _Slot())
        with slot.lock:
            if slot.zygote is None:
                slot.zygote = Zygote(setup)
            return slot.zygote

    def _forget(self, setup: Setup, zygote: Zygote) -> None:
        """Drop ``zygote``, and not the one by which another thread may have replaced it."""
        with self._lock:
            if setup in self._slots and self._slots[setup].zygote is zygote:
                del self._slots[setup]
        zygote.close()


def _process_wide() -> Pool:
    pool = Pool()
    atexit.register(pool.close)
    os.register_at_fork(after_in_child=pool.abandon)
    return pool


POOL = _process_wide()
"""Of the whole process, because a zygote takes a tenth of a second and some megabytes, and sessions come and go."""
