"""Tasks that are solved with the tools, for models to read. They are about the samples that ship with the package."""

from __future__ import annotations

from codeact_tools import Demonstration

DEMONSTRATIONS = [
    Demonstration(
        task="How much more do the longest boats pay at https://sample.invalid/fees in summer than in winter, "
        "and how many berths are free according to https://sample.invalid/berths.json?",
        steps=[
            (
                """
                table = tables("https://sample.invalid/fees")[0]
                print(table.header)
                print(table.rows)
                berths = fetch_json("https://sample.invalid/berths.json")
                print(berths)
                """,
                """
                ['Length of the boat', 'Summer', 'Winter']
                [['up to 8 m', '18.00', '9.00'], ['up to 12 m', '27.00', '14.00'], ['up to 20 m', '45.00', '22.50']]
                {'harbour': 'Samplehaven', 'berths': 40, 'free': [3, 17, 22]}
                """,
            ),
            (
                """
                longest = table.rows[-1]
                print(float(longest[1]) - float(longest[2]), len(berths["free"]))
                """,
                """
                22.5 3
                """,
            ),
        ],
        answer="The longest boats pay 22.50 euros more in summer than in winter, and 3 berths are free.",
    ),
    Demonstration(
        task="Which pages does https://sample.invalid/ link to, and which of them was published last?",
        steps=[
            (
                """
                found = fetch_all([link.url for link in links("https://sample.invalid/")])
                for page in [each.page for each in found if each.page]:
                    print(page.url, page.title, page.published)
                """,
                """
                https://sample.invalid/ Port of Samplehaven None
                https://sample.invalid/tides Tides of Samplehaven 2026-03-02
                https://sample.invalid/fees Fees of Samplehaven 2026-01-15
                """,
            ),
        ],
        answer="It links to itself, to tides and to fees. 'Tides of Samplehaven' was published last, on 2 March 2026.",
    ),
]
