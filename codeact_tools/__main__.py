"""``python -m codeact_tools`` is the command ``codeact-tools``."""

from __future__ import annotations

import sys

from codeact_tools.cli import main

sys.exit(main())
