"""Tasks that are solved with the tools, for models to read. They are about the samples that ship with the package."""

from __future__ import annotations

from codeact_tools import Demonstration

DEMONSTRATIONS = [
    Demonstration(
        task="Which sale in sales.csv had the largest amount, on which date, and who calls the supplier "
        "according to the notes?",
        steps=[
            (
                """
                for file in list_files(pattern="**/*").entries:
                    print(file.kind, file.path, file.size)
                sales = read_table("sales.csv")
                print(sales.head(2))
                """,
                """
                folder notes None
                file notes/meeting.txt 106
                file notes/meeting_draft.txt 93
                file sales.csv 282
                file server.log 263
                file settings.json 130
                         date region product  units  amount
                0  2026-10-01  North    Lamp      4   159.6
                1  2026-10-02  South   Chair      2   178.0
                """,
            ),
            (
                """
                largest = sales.loc[sales["amount"].idxmax()]
                print(largest["product"], largest["date"], largest["amount"])
                for match in search_text("supplier", files="notes/*.txt").matches:
                    print(match.path, match.text)
                """,
                """
                Desk 2026-10-20 698.0
                notes/meeting.txt Ben: call the supplier
                notes/meeting_draft.txt Ben: call the supplier
                """,
            ),
        ],
        answer="The largest sale were the desks of 20 October 2026, for 698.00. Ben calls the supplier.",
    ),
]
