-- Money is in cents. The CHECKs are the rules of the shop: nobody can sell what is not there, or spend money that is not there.

CREATE TABLE accounts (
  id      integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  owner   text    NOT NULL,
  balance integer NOT NULL,
  CONSTRAINT enough_money CHECK (balance >= 0)
);

CREATE TABLE products (
  id    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name  text    NOT NULL UNIQUE,
  price integer NOT NULL CHECK (price > 0)
);

-- The supplier with the lowest rank is asked first.
CREATE TABLE suppliers (
  id   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text    NOT NULL UNIQUE,
  rank integer NOT NULL UNIQUE
);

CREATE TABLE stock (
  product_id  integer NOT NULL REFERENCES products,
  supplier_id integer NOT NULL REFERENCES suppliers,
  quantity    integer NOT NULL,
  PRIMARY KEY (product_id, supplier_id),
  CONSTRAINT enough_stock CHECK (quantity >= 0)
);

CREATE TABLE orders (
  id         integer     GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account_id integer     NOT NULL REFERENCES accounts,
  total      integer     NOT NULL DEFAULT 0,
  status     text        NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'paid')),
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE order_lines (
  order_id    integer NOT NULL REFERENCES orders,
  product_id  integer NOT NULL,
  supplier_id integer NOT NULL,
  quantity    integer NOT NULL CHECK (quantity > 0),
  PRIMARY KEY (order_id, product_id),
  FOREIGN KEY (product_id, supplier_id) REFERENCES stock
);

CREATE VIEW placed_orders AS
SELECT o.id, a.owner, o.total, o.status, o.created_at,
  (SELECT coalesce(string_agg(l.quantity || ' × ' || p.name || ' from ' || s.name, ', ' ORDER BY p.id), '')
     FROM order_lines l JOIN products p ON p.id = l.product_id JOIN suppliers s ON s.id = l.supplier_id
    WHERE l.order_id = o.id) AS items
FROM orders o JOIN accounts a ON a.id = o.account_id;
