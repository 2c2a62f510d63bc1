"""The toolkit ``files``: files and tables under granted folders, and nowhere else."""

from __future__ import annotations

from codeact_tools import Toolkit

from .comparing import Diff, diff_files, diff_text
from .config import FilesConfig
from .demonstrations import DEMONSTRATIONS
from .errors import (
    AlreadyExists,
    FilesError,
    InvalidPattern,
    InvalidTable,
    Mismatch,
    NoRootGranted,
    NotAllowed,
    NotFound,
    NotText,
    OutsideRoots,
    TooLarge,
    WrongKind,
)
from .lines import Encoding
from .reading import FileInfo, Line, Listing, Text, file_info, list_files, read_lines, read_text
from .searching import Found, Match, search_text
from .tables import Column, TableInfo, read_table, table_info, write_table
from .writing import Replaced, Written, append_text, delete_file, move_file, replace_text, write_text

__all__ = [
    "AlreadyExists",
    "Column",
    "Diff",
    "Encoding",
    "FileInfo",
    "FilesConfig",
    "FilesError",
    "Found",
    "InvalidPattern",
    "InvalidTable",
    "Line",
    "Listing",
    "Match",
    "Mismatch",
    "NoRootGranted",
    "NotAllowed",
    "NotFound",
    "NotText",
    "OutsideRoots",
    "Replaced",
    "TableInfo",
    "Text",
    "TooLarge",
    "Written",
    "WrongKind",
    "append_text",
    "delete_file",
    "diff_files",
    "diff_text",
    "file_info",
    "list_files",
    "move_file",
    "read_lines",
    "read_table",
    "read_text",
    "replace_text",
    "search_text",
    "table_info",
    "toolkit",
    "write_table",
    "write_text",
]

toolkit = Toolkit(
    "files",
    tools=[
        list_files,
        read_text,
        search_text,
        table_info,
        read_table,
        read_lines,
        file_info,
        diff_files,
        diff_text,
        write_text,
        append_text,
        replace_text,
        write_table,
        move_file,
        delete_file,
    ],
    version="0.1.0",
    summary="Files and tables in the granted folders.",
    demonstrations=DEMONSTRATIONS,
    config=FilesConfig,
    packages=("pandas",),
    instructions="Only these tools reach the files: open() and the functions of pandas do not. Paths are relative to "
    "the granted folder, e.g. 'notes/todo.txt'; list_files().entries shows what there is.",
)
"""What the entry point ``files`` names."""
