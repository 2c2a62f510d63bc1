"""The constants of nature, from the table of CODATA that SciPy holds."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final, NamedTuple

from scipy import constants

from .faults import Fault, nearest

SYMBOLS: Final = {
    "c": "speed of light in vacuum",
    "c0": "speed of light in vacuum",
    "speed of light": "speed of light in vacuum",
    "h": "Planck constant",
    "hbar": "reduced Planck constant",
    "g": "standard acceleration of gravity",
    "gravity": "standard acceleration of gravity",
    "G": "Newtonian constant of gravitation",
    "gravitational constant": "Newtonian constant of gravitation",
    "e": "elementary charge",
    "k": "Boltzmann constant",
    "kB": "Boltzmann constant",
    "k_B": "Boltzmann constant",
    "NA": "Avogadro constant",
    "N_A": "Avogadro constant",
    "Avogadro number": "Avogadro constant",
    "R": "molar gas constant",
    "gas constant": "molar gas constant",
    "F": "Faraday constant",
    "me": "electron mass",
    "m_e": "electron mass",
    "mp": "proton mass",
    "m_p": "proton mass",
    "mn": "neutron mass",
    "m_n": "neutron mass",
    "u": "atomic mass constant",
    "sigma": "Stefan-Boltzmann constant",
    "alpha": "fine-structure constant",
    "a0": "Bohr radius",
    "Rydberg": "Rydberg constant",
    "eps0": "vacuum electric permittivity",
    "epsilon_0": "vacuum electric permittivity",
    "mu0": "vacuum mag. permeability",
    "mu_0": "vacuum mag. permeability",
    "vacuum permeability": "vacuum mag. permeability",
    "vacuum permittivity": "vacuum electric permittivity",
    "atm": "standard atmosphere",
}
"""What else than its name in the table a constant is called."""

SOURCE: Final = "CODATA 2022"
"""The adjustment that SciPy holds; a test compares this name with its documentation."""


class _Entry(NamedTuple):
    name: str
    value: float
    unit: str
    uncertainty: float


@cache
def _table() -> dict[str, _Entry]:
    """By folded name; of names that differ by case alone the table has none."""
    return {name.casefold(): _Entry(name, *row) for name, row in constants.physical_constants.items()}


def constant(name: str) -> dict[str, Any]:
    """One constant by its name or symbol."""
    wanted = name.strip()
    by_folded = {symbol.casefold(): full for symbol, full in SYMBOLS.items() if len(symbol) > 2}
    full = SYMBOLS.get(wanted) or by_folded.get(wanted.casefold()) or wanted
    entry = _table().get(full.casefold())
    if entry is not None:
        return _answer(entry)
    found = search(wanted, 5)
    names = [each["name"] for each in found]
    hint = (
        f"; there are {', '.join(map(repr, names))}"
        if names
        else nearest(wanted, [*SYMBOLS, *constants.physical_constants])
    )
    raise Fault("UnknownConstant", f"no constant is named {name!r}{hint or '; find_constants(words) looks for words'}")


def search(words: str, limit: int) -> list[dict[str, Any]]:
    """The constants whose names hold all words, the shortest names first."""
    wanted = [word for word in re.split(r"\W+", words.casefold()) if word]
    found = [entry for key, entry in _table().items() if wanted and all(word in key for word in wanted)]
    return [_answer(entry) for entry in sorted(found, key=lambda entry: (len(entry.name), entry.name))[:limit]]


def _answer(entry: _Entry) -> dict[str, Any]:
    unit = re.sub(r"\s+", "*", entry.unit)
    spread = f" ± {entry.uncertainty:.2g}" if entry.uncertainty else ""
    return {
        "name": entry.name,
        "magnitude": entry.value,
        "unit": unit,
        "uncertainty": entry.uncertainty,
        "text": f"{entry.value!r}{spread} {entry.unit}".strip(),
        "source": SOURCE,
    }
