"""Results that an action takes item by item: from a tool, from the record, or from whoever says what it gave."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from ..errors import InvalidResult, RunDiverged
from .refusals import ENDS_THE_RUN

if TYPE_CHECKING:
    from ..tools import ToolSpec
    from .call import Call
    from .handler import HostCalls


async def live_items(
    host: HostCalls, spec: ToolSpec, values: AsyncGenerator[object], call: Call
) -> AsyncGenerator[Any]:
    """Validate and encode a stream item by item; the record closes with their number."""
    count, call.idle = 0, False
    try:
        async with aclosing(values):
            async for value in values:
                count += 1
                item = host.encode(spec, spec.check_item(value))
                host.records.item(call, item)
                host.items_given += 1
                call.idle = True
                yield item
                call.idle = False
    except ENDS_THE_RUN:
        raise
    except Exception as error:
        raise host.refused(call, error) from error
    except BaseException:
        if host.broken_off:  # nobody knows what more the action would have taken
            raise
        host.records.finish(call, result=f"{count} items, then closed", answer={"items": "closed"})
        raise
    else:
        host.records.finish(call, result=f"{count} items", answer={"items": "end"})


def done_items(host: HostCalls, spec: ToolSpec, result: Any, call: Call) -> AsyncGenerator[Any]:
    """The items of a call that somebody says has happened."""
    if not isinstance(result, list | tuple):
        raise InvalidResult(f"{spec.qualified} yields items, so what it gave is a list, not {result!r}.")
    items = [host.encode(spec, spec.check_item(item)) for item in result]
    for item in items:
        host.records.item(call, item)
    host.records.finish(call, result=f"{len(items)} items", answer={"items": "end"})
    return recorded_items(items, "end")


async def recorded_items(items: list[Any], end: str) -> AsyncGenerator[Any]:
    """The items of a recorded stream.

    Raises:
        RunDiverged: The action closed it here the first time, and now asks for more.
    """
    for item in items:
        yield item
    if end == "closed":
        raise RunDiverged(f"The action takes more than the {len(items)} items of a stream that it took the first time.")
