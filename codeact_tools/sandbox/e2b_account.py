"""What an E2B account holds of ours: sandboxes that run or were left behind, and templates."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from e2b import AsyncTemplate, SandboxQuery
from e2b_code_interpreter import AsyncSandbox

from .e2b import DEFAULT_TEMPLATE, OWNER, source_files, source_folder
from .e2b_errors import translated

_PAGE: Final = 100
_HOME: Final = "/home/user"


@dataclass(frozen=True, kw_only=True)
class Found:
    """A sandbox of the account."""

    id: str
    state: str
    """``running`` or ``paused``."""
    template: str
    started: datetime
    ends: datetime
    metadata: dict[str, str]
    """Without the entry by which it was found."""


async def list_sandboxes(**options: Any) -> list[Found]:
    """Return the sandboxes that this library opened and nobody has ended, by any host of the account.

    Args:
        options: The SDK's options for a connection.
    """
    found: list[Found] = []
    with translated("sandboxes were being listed"):
        pages = AsyncSandbox.list(SandboxQuery(metadata={OWNER: "session"}), limit=_PAGE, **options)
        while pages.has_next:
            found += [
                Found(
                    id=info.sandbox_id,
                    state=info.state.value,
                    template=info.name or info.template_id,
                    started=info.started_at,
                    ends=info.end_at,
                    metadata={key: value for key, value in info.metadata.items() if key != OWNER},
                )
                for info in await pages.next_items()
            ]
    return found


async def kill_sandboxes(ids: Sequence[str], **options: Any) -> list[bool]:
    """Kill sandboxes; return for each whether it was there."""
    with translated("sandboxes were being killed"):
        return list(await asyncio.gather(*(AsyncSandbox.kill(each, **options) for each in ids)))


async def build_template(
    name: str,
    *,
    packages: Sequence[str] = (),
    base: str = DEFAULT_TEMPLATE,
    on_log: Callable[[str], None] | None = None,
    **options: Any,
) -> str:
    """Build a template in which the guest and ``packages`` are installed, so that a start uploads nothing.

    Args:
        name: By which `E2BSandbox` then names it.
        packages: Requirements for pip, e.g. ``"polars>=1"``.
        base: The template to begin with.
        on_log: Called with each line of the build's log.
        options: The SDK's options for a build and for a connection.

    Returns:
        The template's id.
    """
    target_folder = f"{_HOME}/{source_folder()}"
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder)
        for path, data in source_files().items():
            target = context / "guest" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        with translated("a template was being built"):
            template = AsyncTemplate(file_context_path=context).from_template(base)
            template = template.copy("guest", target_folder, user="user")
            template = template.run_cmd(f"test -d {target_folder}/codeact_tools")  # the copy did what is expected of it
            if packages:
                template = template.pip_install(list(packages))
            logs = (lambda entry: on_log(str(entry))) if on_log is not None else None
            built = await AsyncTemplate.build(template, name, on_build_logs=logs, **options)
    return str(built.template_id)
