"""Docstrings of the three common styles say the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeact_tools.docstrings import ParsedDocstring, parse_docstring

GOOGLE = """Find orders
    by free text.

    Slow on Mondays.

    Args:
        query (str): Words to look for:
            in all names.
        *rest: More words.

    Returns:
        Matching orders, newest first.

    Raises:
        ShopClosed: On Sundays.
        errors.Gone: Never.

    Examples:
        >>> search("a")
        [1,

        2]

        >>> x = 1
        >>> search(x)
        []
    """

NUMPY = """Find orders by free text.

    Slow on Mondays.

    Parameters
    ----------
    query : str
        Words to look for: in all names.
    *rest
        More words.

    Returns
    -------
    list of int
        Matching orders, newest first.

    Raises
    ------
    ShopClosed
        On Sundays.
    errors.Gone
        Never.

    Examples
    --------
    >>> search("a")
    [1,
    """

REST = """Find orders by free text.

    Slow on Mondays.

    :param query: Words to look for: in all names.
    :type query: str
    :param rest: More words.
    :returns: Matching orders, newest first.
    :raises ShopClosed: On Sundays.
    :raises errors.Gone: Never.

    >>> search("a")
    [1,
    """


@pytest.mark.parametrize("text", [GOOGLE, NUMPY, REST], ids=["google", "numpy", "rest"])
def test_the_styles_say_the_same(text: str) -> None:
    """Summary, prose, parameters, result and errors are read alike, each on one line."""
    parsed = parse_docstring(text)
    assert parsed.summary == "Find orders by free text."
    assert parsed.description == "Slow on Mondays."
    assert parsed.parameters == {"query": "Words to look for: in all names.", "rest": "More words."}
    assert parsed.returns == "Matching orders, newest first."
    assert parsed.raises == (("ShopClosed", "On Sundays."), ("errors.Gone", "Never."))
    assert parsed.examples[0] == '>>> search("a")\n[1,'


def test_examples_are_kept_as_source() -> None:
    """Each block up to its blank line is one example."""
    assert parse_docstring(GOOGLE).examples == ('>>> search("a")\n[1,', ">>> x = 1\n>>> search(x)\n[]")


def test_a_plain_text_is_summary_and_description() -> None:
    """Without sections everything after the first paragraph is prose."""
    parsed = parse_docstring("One\nline.\n\nMore: of it.\n\nAnd more.")
    assert parsed == ParsedDocstring(summary="One line.", description="More: of it.\n\nAnd more.")


@pytest.mark.parametrize("text", [None, "", "  \n "])
def test_nothing_says_nothing(text: str | None) -> None:
    """A missing docstring is an empty one."""
    assert parse_docstring(text) == ParsedDocstring()


def test_a_colon_in_the_result_is_prose() -> None:
    """``Names: of all`` is a sentence, ``list[int]: Names`` is a type and a sentence."""
    assert parse_docstring("F.\n\nReturns:\n    The names: of all.").returns == "The names: of all."
    assert parse_docstring("F.\n\nReturns:\n    dict[str, int]: Names.").returns == "Names."


def test_attributes_of_classes_are_no_parameters() -> None:
    """A class's ``Attributes:`` are kept apart."""
    parsed = parse_docstring("C.\n\nAttributes:\n    x: First.\n\nArgs:\n    y: Second.")
    assert (parsed.attributes, parsed.parameters) == ({"x": "First."}, {"y": "Second."})


@given(st.text(alphabet="Args:Returns\n -xy>.()[]`*", max_size=200))
def test_no_docstring_breaks_the_parser(text: str) -> None:
    """Whatever an author wrote, there is an answer."""
    assert isinstance(parse_docstring(text), ParsedDocstring)
