"""SQL in the base corpus: tables, rows and commented queries (other tables than the task's)."""

from random import Random

from .entities import CITIES, LAST_NAMES, STYLES, THINGS, amount, person, product

RARE = 0.15


def schema(rng: Random) -> str:
    rows = [(person(rng, RARE), rng.choice(CITIES), amount(rng)) for _ in range(rng.randint(2, 4))]
    inserts = "\n".join(f"INSERT INTO clients VALUES ({i}, '{n}', '{c}', {b});"
                        for i, (n, c, b) in enumerate(rows, 1))
    name, city, balance = rng.choice(rows)
    query = rng.choice((f"SELECT town FROM clients WHERE full_name = '{name}'; -- {city}",
                        f"SELECT balance FROM clients WHERE full_name = '{name}'; -- {balance}",
                        f"UPDATE clients SET town = '{rng.choice(CITIES)}' WHERE full_name = '{name}';",
                        f"DELETE FROM clients WHERE town = '{city}';"))
    return f"CREATE TABLE clients (id INT, full_name TEXT, town TEXT, balance REAL);\n{inserts}\n{query}"


def query(rng: Random) -> str:
    """A comment in English followed by the statement it describes."""
    number, town, who = rng.randint(2, 950), rng.choice(CITIES), person(rng, RARE)
    colour, thing, last = rng.choice(STYLES), rng.choice(THINGS), rng.choice(LAST_NAMES)
    table, what, shown = rng.choice((("clients", "clients", "full_name"), ("sales", "sales", "sale_no"),
                                     ("goods", "goods", "label")))
    filters = {
        "clients": ((f"living in {town}", f"town = '{town}'"),
                    (f"with a balance above {number}", f"balance > {number}"),
                    (f"with a balance below {number}", f"balance < {number}"),
                    (f"whose family name is {last}", f"family = '{last}'")),
        "sales": ((f"made to {who}", f"buyer = '{who}'"), (f"worth more than {number}", f"worth > {number}"),
                  (f"worth less than {number}", f"worth < {number}"), (f"shipped to {town}", f"town = '{town}'")),
        "goods": ((f"in {colour}", f"shade = '{colour}'"), (f"of the kind {thing}", f"kind = '{thing}'"),
                  (f"costing over {number}", f"cost > {number}"), (f"called {product(rng)}", "")),
    }[table]
    chosen = rng.sample([f for f in filters if f[1]], rng.randint(1, 2))
    lead, columns = rng.choice(((f"the {shown} of {what}", shown), (f"count the {what}", "COUNT(id)"),
                                (f"everything on {what}", "*"), (f"the largest id of {what}", "MAX(id)"),
                                (f"the mean id of {what}", "AVG(id)")))
    tail = rng.choice((("", ""), ("", ""), (f", ordered by {shown}", f" ORDER BY {shown}"),
                       (f", at most {number % 20 + 1}", f" LIMIT {number % 20 + 1}")))
    words = lead + " " + " and ".join(w for w, _ in chosen) + tail[0]
    clause = " AND ".join(c for _, c in chosen)
    return f"-- {words}\nSELECT {columns} FROM {table} WHERE {clause}{tail[1]};"


def queries(rng: Random) -> str:
    return "\n".join(query(rng) for _ in range(rng.randint(1, 3)))
