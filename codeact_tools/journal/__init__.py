"""The durable record of runs.

`store` says what keeps records, and `sqlite` does, in a file; `log` writes those of one run; `past` reads what they
say; `journal` is the whole of it; `redaction` keeps secrets out.
"""

from .journal import VARIABLE, Journal, default_path, open_journal, read_exported
from .log import RunLog
from .past import Past, PastAction, PastCall, identity, read_past
from .redaction import HIDDEN, Redactor, fits, holds_hidden
from .sqlite import SQLiteStore
from .store import Record, RunSummary, Store

__all__ = [
    "HIDDEN", "VARIABLE", "Journal", "Past", "PastAction", "PastCall", "Record", "Redactor", "RunLog", "RunSummary",
    "SQLiteStore", "Store", "default_path", "fits", "holds_hidden", "identity", "open_journal", "read_exported",
    "read_past",
]  # fmt: skip
