-- The sample database of codeact-tools-sql: a small shop for paper, pens and office things.

CREATE TABLE customers (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    city TEXT NOT NULL,
    since DATE
);

CREATE TABLE products (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    category TEXT NOT NULL,
    price DECIMAL(10, 2) NOT NULL,
    stock INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    customer_id INTEGER NOT NULL REFERENCES customers (id),
    placed DATE NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('paid', 'shipped', 'cancelled'))
);

CREATE TABLE order_items (
    order_id INTEGER NOT NULL REFERENCES orders (id),
    product_id INTEGER NOT NULL REFERENCES products (id),
    quantity INTEGER NOT NULL,
    PRIMARY KEY (order_id, product_id)
);

CREATE VIEW order_totals AS
SELECT orders.id AS order_id, customers.name AS customer, orders.placed, orders.status,
       SUM(order_items.quantity * products.price) AS total
FROM orders
JOIN customers ON customers.id = orders.customer_id
JOIN order_items ON order_items.order_id = orders.id
JOIN products ON products.id = order_items.product_id
GROUP BY orders.id, customers.name, orders.placed, orders.status;

INSERT INTO customers VALUES
    (1, 'Ada Lovell', 'London', '2024-02-11'),
    (2, 'Bruno Keller', 'Berlin', '2024-03-05'),
    (3, 'Chiara Conti', 'Milan', '2024-06-19'),
    (4, 'Dmitri Orlov', 'Berlin', '2024-09-30'),
    (5, 'Elif Yilmaz', 'Izmir', '2025-01-08'),
    (6, 'Farid Haddad', 'Paris', '2025-02-24'),
    (7, 'Greta Holm', 'Oslo', '2025-05-17'),
    (8, 'Hana Sato', 'Osaka', NULL);

INSERT INTO products VALUES
    (1, 'Notebook', 'paper', 3.50, 400),
    (2, 'Fountain pen', 'pens', 24.00, 35),
    (3, 'Ink, blue', 'pens', 6.50, 120),
    (4, 'Sketch pad', 'paper', 9.00, 80),
    (5, 'Pencil set', 'pens', 12.50, 60),
    (6, 'Desk lamp', 'office', 45.00, 12),
    (7, 'Stapler', 'office', 15.00, 0),
    (8, 'Envelope, 50', 'paper', 5.50, 210);

INSERT INTO orders VALUES
    (1, 3, '2026-01-05', 'cancelled'),
    (2, 1, '2026-01-17', 'cancelled'),
    (3, 2, '2026-01-21', 'paid'),
    (4, 5, '2026-02-02', 'shipped'),
    (5, 2, '2026-02-11', 'shipped'),
    (6, 6, '2026-02-23', 'paid'),
    (7, 5, '2026-02-27', 'paid'),
    (8, 5, '2026-03-09', 'cancelled'),
    (9, 1, '2026-03-15', 'shipped'),
    (10, 3, '2026-03-26', 'paid'),
    (11, 4, '2026-03-30', 'shipped'),
    (12, 4, '2026-04-11', 'paid'),
    (13, 1, '2026-04-15', 'shipped'),
    (14, 7, '2026-04-22', 'shipped'),
    (15, 1, '2026-05-04', 'shipped'),
    (16, 3, '2026-05-13', 'cancelled'),
    (17, 3, '2026-05-18', 'shipped'),
    (18, 2, '2026-05-24', 'paid'),
    (19, 2, '2026-06-05', 'paid'),
    (20, 3, '2026-06-16', 'shipped'),
    (21, 4, '2026-06-19', 'cancelled'),
    (22, 2, '2026-06-22', 'paid'),
    (23, 1, '2026-07-04', 'paid'),
    (24, 1, '2026-07-07', 'cancelled');

INSERT INTO order_items VALUES
    (1, 1, 5), (1, 5, 1), (1, 6, 2), (2, 1, 3), (2, 6, 2), (3, 1, 1),
    (3, 5, 10), (3, 6, 1), (4, 1, 1), (4, 5, 2), (5, 2, 1), (5, 5, 5),
    (6, 5, 10), (7, 4, 3), (7, 5, 2), (8, 2, 1), (8, 3, 10), (9, 3, 5),
    (9, 4, 1), (9, 6, 1), (10, 2, 3), (10, 4, 1), (11, 3, 5), (11, 6, 2),
    (12, 3, 3), (13, 5, 10), (13, 6, 2), (14, 1, 2), (14, 4, 1), (15, 2, 10),
    (15, 3, 1), (16, 1, 3), (16, 2, 5), (16, 4, 2), (17, 4, 2), (17, 6, 2),
    (18, 2, 1), (18, 6, 2), (19, 2, 3), (20, 2, 5), (20, 5, 10), (21, 4, 1),
    (21, 5, 3), (21, 6, 2), (22, 2, 1), (22, 4, 2), (23, 1, 2), (23, 5, 5),
    (24, 2, 5), (24, 3, 2), (24, 5, 3);
