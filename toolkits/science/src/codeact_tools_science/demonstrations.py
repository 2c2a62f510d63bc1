"""Tasks that are solved with the tools, for models to read."""

from __future__ import annotations

from codeact_tools import Demonstration

DEMONSTRATIONS = [
    Demonstration(
        task="A lift raises 800 kg by 15 m, and then by another 20 feet. By how many metres in all, and what energy "
        "does that take, in kilojoules?",
        steps=[
            (
                """
                height = calculate("15 m + 20 foot", unit="m")
                energy = calculate("800 kg * 9.81 m/s^2 * h", unit="kJ", values={"h": height})
                print(height.magnitude, energy.magnitude)
                """,
                """
                21.096 165.561408
                """,
            ),
        ],
        answer="It raises them by 21.096 metres, which takes 165.56 kilojoules.",
    ),
    Demonstration(
        task="A ball falls from 20 m, so that 20 - 9.81*t^2/2 = 0 when it lands. When is that, in seconds?",
        steps=[
            (
                """
                times = [solution["t"].value for solution in solve("20 - 9.81*t^2/2 = 0", "t")]
                print(times, max(times))
                """,
                """
                [-2.019275109384609, 2.019275109384609] 2.019275109384609
                """,
            ),
        ],
        answer="The ball lands after 2.019 seconds.",
    ),
]
