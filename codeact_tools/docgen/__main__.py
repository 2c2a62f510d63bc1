"""``python -m codeact_tools.docgen REQUEST ANSWER``: what `collect_apart` starts."""

from __future__ import annotations

import sys
from pathlib import Path

from ..errors import CodeActError
from .collect import Request, collect


def main(request: str, answer: str) -> int:
    """Make the pages that ``request`` asks for, as JSON, and write them to the file ``answer``."""
    try:
        collection = collect(Request.model_validate_json(request))
    except CodeActError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    Path(answer).write_text(collection.model_dump_json(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
