"""Docstrings of the three common styles say the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeact_tools.docstrings import Marks, ParsedDocstring, parse_docstring

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


MARKED_GOOGLE = """Price an item.

    .. versionadded:: 1.1

    It takes long.

    .. versionchanged:: 1.3
       Also for guests.
    .. deprecated:: 2.0 Use `quote`
        in its place.

    Args:
        item: Which.

    Examples:
        >>> price("tea")
        2

    See also:
        quote: What it costs, with `pay` for later.
            And more about it.
        shop.stock, :func:`~shop.orders`

    Returns:
        The price.
    """

MARKED_NUMPY = """Price an item.

    .. versionadded:: 1.1

    It takes long.

    .. versionchanged:: 1.3 Also for guests.

    .. deprecated:: 2.0
       Use `quote` in its place.

    Parameters
    ----------
    item
        Which.

    See Also
    --------
    quote : What it costs, with `pay` for later.
        And more about it.
    shop.stock, shop.orders

    Returns
    -------
    The price.

    Examples
    --------
    >>> price("tea")
    2
    """

MARKED_REST = """Price an item.

    .. versionadded:: 1.1

    It takes long.

    .. versionchanged:: 1.3
       Also for guests.
    .. deprecated:: 2.0
       Use `quote` in its place.
    .. seealso:: quote, shop.stock,
       :py:func:`shop.orders`

    :param item: Which.
    :returns: The price.

    >>> price("tea")
    2
    """


@pytest.mark.parametrize("text", [MARKED_GOOGLE, MARKED_NUMPY, MARKED_REST], ids=["google", "numpy", "rest"])
def test_marks_are_for_readers(text: str) -> None:
    """Versions and related tools are no part of the text; a deprecation is, as a sentence."""
    parsed = parse_docstring(text)
    assert parsed.marks == Marks(
        added="1.1",
        changed=("Changed in 1.3: Also for guests.",),
        deprecated="Since 2.0. Use `quote` in its place.",
        see_also=("quote", "shop.stock", "shop.orders"),
    )
    assert parsed.description == "Deprecated since 2.0. Use `quote` in its place.\n\nIt takes long."
    assert parsed.summary == "Price an item."
    assert parsed.parameters == {"item": "Which."}
    assert parsed.returns == "The price."
    assert parsed.examples == ('>>> price("tea")\n2',)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("F.\n\nSee also: quote, pay.", ("quote", "pay")),
        ("F.\n\nSee also: quote,\npay.\n\nMore: of it.", ("quote", "pay")),
        ("F.\n\nSee Also:\n    quote\n\n    pay - Later.\n\nMore: of it.", ("quote", "pay")),
        ("F.\n\nSee also the manual.", ()),
        ("F.\n\nSee also: quote\nArgs:\n    x: One.", ("quote",)),
    ],
)
def test_related_tools_are_named_in_many_ways(text: str, names: tuple[str, ...]) -> None:
    """In a sentence, or a name to a line; what is said of them is left out, and what follows is kept."""
    parsed = parse_docstring(text)
    assert parsed.marks.see_also == names
    assert parsed.description == {"M": "More: of it.", "S": "See also the manual."}.get(
        next((each[0] for each in ("More", "See also the") if each in text), ""), ""
    )
    assert set(parsed.parameters) == ({"x"} if "Args" in text else set())


def test_a_deprecated_object_is_deprecated() -> None:
    """What `typing_extensions.deprecated` says is told like a mark, also where there is no docstring."""
    parsed = parse_docstring("F.", deprecated="Use g.")
    assert (parsed.marks.deprecated, parsed.description) == ("Use g.", "Deprecated. Use g.")
    assert parse_docstring(None, deprecated="Use g.").description == "Deprecated. Use g."


@given(
    st.text(alphabet="Args:Returns\n -xy>.()[]`*", max_size=200)
    | st.lists(
        st.sampled_from(
            [
                "See also:",
                "See Also",
                "---",
                "    x: y",
                "",
                ".. deprecated:: 1",
                ".. seealso::",
                "  a",
                "Args:",
                ">>> 1",
            ]
        )
    ).map("\n".join)
)
def test_no_docstring_breaks_the_parser(text: str) -> None:
    """Whatever an author wrote, there is an answer."""
    assert isinstance(parse_docstring(text), ParsedDocstring)
