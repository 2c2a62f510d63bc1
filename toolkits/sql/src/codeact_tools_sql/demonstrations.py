"""Tasks that are solved with the tools, for models to read. They are about the samples that ship with the package."""

from __future__ import annotations

from codeact_tools import Demonstration

DEMONSTRATIONS = [
    Demonstration(
        task="From which city came the most orders since June 2026, and how many?",
        steps=[
            (
                """
                for table in list_tables():
                    print(table.name, table.columns)
                """,
                """
                customers ['id', 'name', 'city', 'since']
                order_items ['order_id', 'product_id', 'quantity']
                orders ['id', 'customer_id', 'placed', 'status']
                products ['id', 'name', 'category', 'price', 'stock']
                order_totals ['order_id', 'customer', 'placed', 'status', 'total']
                """,
            ),
            (
                '''
                sql = """
                SELECT c.city, COUNT(*) AS number
                FROM orders o JOIN customers c ON c.id = o.customer_id
                WHERE o.placed >= :start
                GROUP BY c.city
                ORDER BY number DESC
                """
                print(query(sql, {"start": "2026-06-01"}).rows)
                ''',
                """
                [{'city': 'Berlin', 'number': 3}, {'city': 'London', 'number': 2}, {'city': 'Milan', 'number': 1}]
                """,
            ),
        ],
        answer="The most orders came from Berlin: 3.",
    ),
]
