INSERT INTO accounts (owner, balance) VALUES ('Ada', 50000), ('Edgar', 12000), ('Grace', 900);

INSERT INTO suppliers (name, rank) VALUES ('North', 1), ('South', 2);

INSERT INTO products (name, price) VALUES ('Coffee', 850), ('Teapot', 3200), ('Biscuits', 250);

-- North runs out of coffee quickly: an order of more than three falls back to South.
INSERT INTO stock (product_id, supplier_id, quantity)
SELECT p.id, s.id, n.quantity
FROM (VALUES ('Coffee', 'North', 3), ('Coffee', 'South', 100), ('Teapot', 'North', 5), ('Teapot', 'South', 5),
             ('Biscuits', 'North', 40), ('Biscuits', 'South', 200)) AS n (product, supplier, quantity)
JOIN products p ON p.name = n.product JOIN suppliers s ON s.name = n.supplier;
