"""Questions for the ``files`` toolkit about the folder that it ships: find, read and compute, or write."""

from __future__ import annotations

from collections.abc import Callable

from codeact_tools_files import FilesConfig, list_files, read_table, read_text, search_text, toolkit

from codeact_tools import ToolContext
from codeact_tools.evals import Task, mentions

CONFIG = FilesConfig.for_examples()
ROOT = CONFIG.granted[0].path
CONTEXT = ToolContext(config=CONFIG)

TOOLS = [toolkit.configured(CONFIG)]
"""What the tasks are about, in place of the installed toolkit."""

SALES = read_table("sales.csv", context=CONTEXT)
BY_REGION = SALES.groupby("region")["amount"].sum()
BY_PRODUCT = SALES.groupby("product")["units"].sum()
FILES = [each for each in list_files(pattern="**/*", context=CONTEXT).entries if each.kind == "file"]
ERRORS = search_text("ERROR", files="server.log", context=CONTEXT).matches
LARGEST = max(FILES, key=lambda file: file.size or 0)
BUDGET = int(read_text("notes/meeting.txt", 4, context=CONTEXT).text.split()[1])


def holds(path: str, *parts: str | float) -> Callable[[str], bool]:
    """Return a check that a file was written that holds all ``parts``, whatever the answer says."""

    def right(_answer: str) -> bool:
        return (ROOT / path).is_file() and mentions(*parts)((ROOT / path).read_text())

    return right


TASKS = [
    Task(
        name="filter and sum",
        question="What is the total amount of the sales in the region North, according to sales.csv?",
        right=mentions(round(float(BY_REGION["North"]), 2)),
    ),
    Task(
        name="best region",
        question="Which region has the highest total amount in sales.csv, and what is that total?",
        right=mentions(str(BY_REGION.idxmax()), round(float(BY_REGION.max()), 2)),
    ),
    Task(
        name="units of a product",
        question="How many units of the product Lamp were sold, according to sales.csv?",
        right=mentions(int(BY_PRODUCT["Lamp"])),
    ),
    Task(
        name="average of a column",
        question="What is the average amount of a sale in sales.csv, rounded to two decimals?",
        right=mentions(round(float(SALES["amount"].mean()), 2)),
    ),
    Task(
        name="errors in a log",
        question="How many lines of server.log say ERROR, and in which line is the last of them?",
        right=mentions(len(ERRORS), ERRORS[-1].line),
    ),
    Task(
        name="count files",
        question="How many files (not folders) are there in the granted folder and all of its subfolders?",
        right=mentions(len(FILES)),
    ),
    Task(
        name="largest file",
        question="Which file in the granted folder and its subfolders is the largest, and how many bytes has it?",
        right=mentions(LARGEST.path, LARGEST.size or 0),
    ),
    Task(
        name="difference of two files",
        question="Compare notes/meeting_draft.txt with notes/meeting.txt. Which words were added in the newer one?",
        right=mentions("until Friday"),
    ),
    Task(
        name="find by content",
        question="Which files mention the word supplier? Give their paths.",
        right=mentions("notes/meeting.txt", "notes/meeting_draft.txt"),
    ),
    Task(
        name="two files",
        question="The budget stands in notes/meeting.txt, the sales in sales.csv. By how many euros is the budget "
        "larger than the sum of all amounts?",
        right=mentions(round(BUDGET - float(SALES["amount"].sum()), 2)),
    ),
    Task(
        name="write a result",
        question="Write the number of rows of sales.csv into a new text file named count.txt.",
        right=holds("count.txt", len(SALES)),
    ),
    Task(
        name="edit a file",
        question='In settings.json, change the theme from "dark" to "light". Then tell what you have changed.',
        right=holds("settings.json", '"light"', '"en"'),
    ),
    Task(
        name="write a table",
        question="Write the total amount of each region of sales.csv as a table with the columns region and amount "
        "into a new file totals.csv.",
        right=holds("totals.csv", *BY_REGION.index, *BY_REGION.round(2)),
    ),
]
"""Thirteen tasks; the expected answers come from the tools, called as plain functions."""
