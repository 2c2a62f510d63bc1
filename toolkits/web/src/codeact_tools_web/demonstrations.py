"""Tasks that are solved with the tools, for models to read. They are about the samples that ship with the package."""

from __future__ import annotations

from codeact_tools import Demonstration

DEMONSTRATIONS = [
    Demonstration(
        task="What do the fees in the table on https://sample.invalid/fees add up to in summer, "
        "and how many of them are below 20 euros in winter?",
        steps=[
            (
                """
                rows = tables("https://sample.invalid/fees")[0].rows
                print(rows[0])
                print(sum(float(row["Summer"]) for row in rows))
                print(len([row for row in rows if float(row["Winter"]) < 20]))
                """,
                """
                {'Length of the boat': 'up to 8 m', 'Summer': '18.00', 'Winter': '9.00'}
                90.0
                2
                """,
            ),
        ],
        answer="The fees add up to 90 euros in summer, and 2 of them are below 20 euros in winter.",
    ),
    Demonstration(
        task="Read the pages that https://sample.invalid/ links to. Which was published last, and how many berths are "
        "free according to https://sample.invalid/berths.json?",
        steps=[
            (
                """
                for each in fetch_all([link.url for link in links("https://sample.invalid/")]):
                    if each.page:
                        print(each.page.url, each.page.published, each.page.text[:80])
                print(len(fetch_json("https://sample.invalid/berths.json")["free"]))
                """,
                """
                https://sample.invalid/ None # Port of Samplehaven

                Samplehaven is a small harbour with forty berths. It welc
                https://sample.invalid/tides 2026-03-02 # Tides of Samplehaven

                High water at the pier for the first days of March, in l
                https://sample.invalid/fees 2026-01-15 # Fees of Samplehaven

                All fees are in euros, for one night, and include water a
                3
                """,
            ),
        ],
        answer="The page https://sample.invalid/tides was published last, on 2 March 2026, and 3 berths are free.",
    ),
]
