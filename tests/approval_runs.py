"""One run with four calls at once, two of which need approval: the processes of `test_approvals`.

``python -m tests.approval_runs JOURNAL LEDGER start|decide|resume [RUN]`` prints what became of it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from codeact_tools import CodeActAgent, tool
from codeact_tools.approvals import Allow, Deny
from codeact_tools.errors import RunPaused
from codeact_tools.journal import Journal
from codeact_tools.testing import ScriptedModel

ACTION = """<execute>
import asyncio
async def tried(call):
    try:
        return await call
    except ToolDenied as error:
        return str(error)
found = await asyncio.gather(send('a'), tried(delete('b')), send('c'), tried(delete('d')))
print(found)
</execute>"""


def main(journal: str, ledger: str, what: str, run: str = "") -> dict[str, object]:
    """Do one of the three."""

    def write(line: str) -> str:
        with Path(ledger).open("a") as file:
            file.write(line + "\n")
        return line

    @tool
    async def send(name: str) -> str:
        """Send a message."""
        await asyncio.sleep(0.02)
        return write(f"send {name}")

    @tool(destructive=True)
    async def delete(name: str) -> str:
        """Delete something."""
        return write(f"delete {name}")

    if what == "decide":
        store = Journal(journal)
        waiting = store.past(run).waiting
        for call in waiting:
            name = call.record.arguments["name"]
            store.decide(run, call.key, Allow() if name == "b" else Deny("it is still needed"), by="ann")
        return {"decided": [call.record.arguments["name"] for call in waiting]}
    replies = [ACTION, "Done."] if what == "start" else ["Done."]
    agent = CodeActAgent(
        [send, delete], model=ScriptedModel(replies), sandbox="local", journal=journal, approve="pause"
    )
    try:
        done = agent.run("Clean up.") if what == "start" else agent.resume(run)
    except RunPaused as pause:
        return {"paused": pause.run_id, "waiting": sorted(call.arguments["name"] for call in pause.waiting)}
    seen = [event.observation.stdout for event in done.events if event.type == "action_finished"]
    return {"answer": done.answer, "seen": seen}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))  # noqa: T201
