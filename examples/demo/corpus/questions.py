"""Questions to a shop's database, with the SQL that answers them."""

from dataclasses import dataclass
from random import Random

from .entities import CITIES, LAST_NAMES, STYLES, THINGS, person


@dataclass(frozen=True)
class Question:
    text: str
    sql: str

    @property
    def two_sided(self) -> bool:
        """Whether it bounds one column on both sides, which can contradict itself."""
        return "<" in self.sql and ">" in self.sql

    @property
    def names_attribute(self) -> bool:
        """Whether it names a city, a style or a type: the base saw too little of them to copy them surely."""
        return any(clause in self.sql for clause in ("city =", "style =", "title LIKE"))


def _filters(rng: Random, table: str) -> list[tuple[str, str]]:
    small, large = rng.randint(18, 90), rng.randint(10, 990)
    city, last, year = rng.choice(CITIES), rng.choice(LAST_NAMES), rng.randint(2010, 2027)
    who = person(rng)
    return {
        "customers": [(f"in {city}", f"city = '{city}'"), (f"older than {small}", f"age > {small}"),
                      (f"younger than {small}", f"age < {small}"), (f"named {last}", f"name LIKE '% {last}'")],
        "orders": [(f"from {who}", f"customer = '{who}'"), (f"over {large} euros", f"total > {large}"),
                   (f"under {large} euros", f"total < {large}"), (f"placed in {year}", f"year = {year}")],
        "products": [(f"in {(s := rng.choice(STYLES))}", f"style = '{s}'"),
                     (f"cheaper than {large} euros", f"price < {large}"),
                     (f"dearer than {large} euros", f"price > {large}"),
                     (f"of type {(t := rng.choice(THINGS))}", f"title LIKE '% {t}'")],
    }[table]


_SHOWN = {"customers": "name", "orders": "number", "products": "name"}
_MEASURE = {"customers": "age", "orders": "total", "products": "price"}


def question(rng: Random) -> Question:
    table = rng.choice(tuple(_SHOWN))
    shown, measure = _SHOWN[table], _MEASURE[table]
    lead, column = rng.choice((
        (f"Which {table} are there", shown), (f"List the {table}", shown), (f"Show me all {table}", shown),
        (f"How many {table} are there", "COUNT(*)"), (f"Count the {table}", "COUNT(*)"),
        (f"What is the average {measure} of {table}", f"AVG({measure})"),
        (f"What is the highest {measure} of {table}", f"MAX({measure})"),
        (f"What is the lowest {measure} of {table}", f"MIN({measure})")))
    chosen = rng.sample(_filters(rng, table), rng.randint(1, 2))
    text = f"{lead} " + " and ".join(words for words, _ in chosen)
    sql = f"SELECT {column} FROM {table} WHERE " + " AND ".join(clause for _, clause in chosen)
    if column == shown and rng.random() < 0.4:
        text += f", sorted by {measure}"
        sql += f" ORDER BY {measure}"
    end = "?" if lead.startswith(("Which", "How", "What")) else "."
    return Question(text + end, sql + ";")


def spoken(rng: Random) -> str:
    """Questions alone, for the base corpus: asked, never answered in SQL."""
    return "\n".join(f"Asked today: {question(rng).text}" for _ in range(rng.randint(1, 3)))
