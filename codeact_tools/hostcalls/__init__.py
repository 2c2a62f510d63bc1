"""The host's side of a tool call.

`handler` answers calls, with `quotas` for how many, and `refusals` for what an action sees of an error; `call` is one
of them, `records` what is on record of all, `streams` a result that is taken item by item; `rerun` answers the calls of
an action that runs again, and `pausing` stops one that can only go on after somebody's decision.
"""

from .handler import HostCalls
from .pausing import run_or_pause

__all__ = ["HostCalls", "run_or_pause"]
