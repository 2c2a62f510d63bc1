"""Questions for the ``sql`` toolkit over its sample shop: read the schema, write the query, compute with the rows."""

from __future__ import annotations

from typing import Any

from codeact_tools_sql import SqlConfig, query, query_value, toolkit

from codeact_tools import ToolContext
from codeact_tools.evals import Task, mentions

TOOLS = [toolkit.configured(SqlConfig.for_examples())]
"""What an agent for these tasks is given."""

_SHOP = ToolContext(config=SqlConfig.for_examples())
_KEPT = "status <> 'cancelled'"


def _value(sql: str) -> Any:
    return query_value(sql, context=_SHOP)


def _row(sql: str) -> list[Any]:
    return list(query(sql, limit=1, context=_SHOP).rows[0].values())


def _names(sql: str) -> list[str]:
    return [str(row["name"]) for row in query(sql, context=_SHOP).rows]


TASKS = [
    Task(
        name="count with a condition",
        question="How many orders in the database have the status 'paid'?",
        right=mentions(_value("SELECT COUNT(*) FROM orders WHERE status = 'paid'")),
    ),
    Task(
        name="largest of groups",
        question="Which customer has the largest total over all orders that are not cancelled, and what is that total?",
        right=mentions(
            *_row(
                f"SELECT customer, SUM(total) FROM order_totals WHERE {_KEPT} GROUP BY customer ORDER BY 2 DESC"  # noqa: S608
            )
        ),
    ),
    Task(
        name="what is missing",
        question="Which products were never ordered? Give their names.",
        right=mentions(
            *_names("SELECT name FROM products WHERE id NOT IN (SELECT product_id FROM order_items) ORDER BY id")
        ),
    ),
    Task(
        name="join and sum",
        question="How many pieces of the product 'Fountain pen' are in orders that are not cancelled?",
        right=mentions(
            _value(
                "SELECT SUM(i.quantity) FROM order_items i JOIN orders o ON o.id = i.order_id JOIN products p "
                "ON p.id = i.product_id WHERE p.name = 'Fountain pen' AND o.status <> 'cancelled'"
            )
        ),
    ),
    Task(
        name="product of columns",
        question="Price times stock gives the value of a product in stock. Which category of products has the largest "
        "value in stock, and how much is it?",
        right=mentions(*_row("SELECT category, SUM(price * stock) FROM products GROUP BY category ORDER BY 2 DESC")),
    ),
    Task(
        name="difference of two sums",
        question="By how much is the sum of the totals of the shipped orders larger than that of the paid orders?",
        right=mentions(
            _value("SELECT SUM(total) FROM order_totals WHERE status = 'shipped'")
            - _value("SELECT SUM(total) FROM order_totals WHERE status = 'paid'")
        ),
    ),
    Task(
        name="who has none",
        question="Which customer has never placed an order?",
        right=mentions(*_names("SELECT name FROM customers WHERE id NOT IN (SELECT customer_id FROM orders)")),
    ),
    Task(
        name="share",
        question="What percentage of all orders is cancelled?",
        right=mentions(_value("SELECT 100.0 * SUM(status = 'cancelled') / COUNT(*) FROM orders")),
    ),
    Task(
        name="days between",
        question="How many days lie between the first and the last order of the customer Bruno Keller?",
        right=mentions(
            int(
                _value(
                    "SELECT julianday(MAX(placed)) - julianday(MIN(placed)) FROM order_totals "
                    "WHERE customer = 'Bruno Keller'"
                )
            )
        ),
    ),
    Task(
        name="group by a part of a date",
        question="In which month of 2026 were the most pieces ordered, cancelled orders included, and how many?",
        right=mentions(
            _value(
                "SELECT SUM(i.quantity) FROM order_items i JOIN orders o ON o.id = i.order_id "
                "GROUP BY strftime('%m', o.placed) ORDER BY 1 DESC LIMIT 1"
            )
        ),
    ),
    Task(
        name="schema",
        question="Which tables of the database have a column named 'name', and how many rows do they have together?",
        right=mentions(
            "customers",
            "products",
            _value("SELECT (SELECT COUNT(*) FROM customers) + (SELECT COUNT(*) FROM products)"),
        ),
    ),
    Task(
        name="average of rows",
        question="What is the average total of the shipped orders, rounded to two decimals?",
        right=mentions(round(_value("SELECT AVG(total) FROM order_totals WHERE status = 'shipped'"), 2)),
    ),
]
"""Twelve tasks; the expected answers come from the tools, called as plain functions."""
