"""Tasks that are solved with the tools, for models to read."""

from __future__ import annotations

from codeact_tools import Demonstration

DEMONSTRATIONS = [
    Demonstration(
        task="A ball falls from 20 m (g = 9.81 m/s^2). After how many seconds does it land, and how fast is "
        "it then, in km/h?",
        steps=[
            (
                """
                times = [solution["t"].value for solution in solve("20 - 9.81*t^2/2 = 0", "t")]
                fall = max(times)
                speed = calculate("g * t", unit="km/h", values={"g": "9.81 m/s^2", "t": f"{fall} s"})
                print(fall, speed.magnitude)
                """,
                """
                2.019275109384609 71.31271976302685
                """,
            ),
        ],
        answer="The ball lands after 2.019 seconds, at 71.31 km/h.",
    ),
]
