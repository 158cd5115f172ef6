"""Base documents that restate a ticket's or an order's facts: JSON, cards, notes, letters, logs."""

import json
from random import Random

from .entities import CITIES, amount, date, ordinal, order_id, person, product
from .tickets import Ticket, ticket

RARE = 0.15

_KEYS = {
    "name": ("client", "customer_name", "buyer", "from", "contact"),
    "order": ("ref", "order_no", "reference", "purchase"),
    "product": ("item", "article", "goods", "about"),
    "issue": ("problem", "topic", "reason", "code"),
    "department": ("team", "desk", "queue"),
    "priority": ("urgency", "level"),
    "city": ("city", "town", "place"),
    "amount": ("total", "paid", "price"),
    "quantity": ("qty", "count", "pieces"),
    "date": ("day", "when", "placed"),
}


def _facts(t: Ticket) -> dict[str, str]:
    return {"name": t.name, "order": t.order, "product": t.product, "issue": t.issue.code,
            "department": t.issue.department.lower(), "priority": t.issue.priority}


def _pick(rng: Random, facts: dict) -> dict:
    """Some of the facts, in any order, under other names than the tasks use."""
    chosen = rng.sample(list(facts), rng.randint(2, min(5, len(facts))))
    return {rng.choice(_KEYS[key]): facts[key] for key in chosen}


def as_json(rng: Random, facts: dict) -> str:
    return json.dumps(_pick(rng, facts), indent=rng.choice((None, None, None, 2)))


def _as_card(rng: Random, facts: dict) -> str:
    return "\n".join(f"{key}: {value}" for key, value in _pick(rng, facts).items())


_LEADS = ("Message", "Incoming mail", "Letter", "Request", "Case", "Mail")


def ticket_json(rng: Random) -> str:
    t = ticket(rng, RARE)
    lead, heading = rng.choice(_LEADS), rng.choice(("Record", "Stored as", "Entry", "Data"))
    return f"{lead}: {t.text}\n{heading}: {as_json(rng, _facts(t))}"


def ticket_card(rng: Random) -> str:
    t = ticket(rng, RARE)
    return f"{rng.choice(_LEADS)}: {t.text}\n---\n{_as_card(rng, _facts(t))}"


_NOTES = (
    "Agent's note: {n} wrote in about {o}. The customer {g}. {team} will look at it, urgency {level}.",
    "{n} called about the {p}, see {o}. In short, the customer {g}.",
    "Handed over to the {team} desk: {o}, {n}. Urgency is {level}.",
    "The case of {n} ({o}) is open. It is about the {p} and belongs to {team}.",
    "For the log: order {o} of {n}, a {p}. The customer {g}.",
)
_LETTERS = (
    "Hi {n}, thanks for your note. About your {p}: {r} Your reference is {o}. Cheers, the shop",
    "Good day {n}. We read your message on {o}. {r} We hope that you enjoy the {p}. Your helpers",
    "{n}, we are on it. {r} Quote {o} when you write again about the {p}.",
)


def ticket_note(rng: Random) -> str:
    t = ticket(rng, RARE)
    form = rng.choice(_NOTES + _LETTERS)
    note = form.format(n=t.name, o=t.order, p=t.product, g=t.gist, team=t.issue.department,
                       level=t.issue.priority, r=t.issue.remedy)
    return f"{rng.choice(_LEADS)}: {t.text}\n{note}"


def purchase(rng: Random) -> str:
    """An order told in a sentence, then restated as JSON, a card or a table row."""
    when = date(rng)
    facts = {"name": person(rng, RARE), "order": order_id(rng), "product": product(rng), "city": rng.choice(CITIES),
             "amount": amount(rng), "quantity": rng.randint(1, 12)}
    day = rng.choice((f"{when.day} {when.month_name} {when.year}",
                      f"{when.month_name} {ordinal(when.day)}, {when.year}"))
    sentence = rng.choice((
        "{name} from {city} bought {quantity} x {product} for {amount} euros on {day}, order {order}.",
        "On {day} we sold {quantity} x {product} to {name} in {city}. The total of {order} was {amount}.",
        "Order {order}: {name} paid {amount} for {quantity} x {product}, shipped to {city} on {day}.",
        "A parcel for {name} ({city}) left on {day}. It holds {quantity} x {product}, worth {amount}, see {order}.",
    )).format(day=day, **facts)
    facts["date"] = f"{when.year}/{when.month:02d}/{when.day:02d}"
    row = " | ".join(str(value) for value in facts.values())
    return sentence + "\n" + rng.choice((as_json(rng, facts), _as_card(rng, facts), row))


def calendar(rng: Random) -> str:
    """Dates in words and in figures."""
    lines = []
    for _ in range(rng.randint(2, 4)):
        d = date(rng)
        words = rng.choice((f"{d.month_name} {d.day}, {d.year}", f"{d.day} {d.month_name} {d.year}",
                            f"the {ordinal(d.day)} of {d.month_name} {d.year}",
                            f"{d.month_name} {ordinal(d.day)} {d.year}"))
        lines.append(f"{words} = {d.day:02d}.{d.month:02d}.{d.year} = {d.year}/{d.month:02d}/{d.day:02d}")
    return "\n".join(lines)


def roll_call(rng: Random) -> str:
    """A list that is read out twice: the plainest lesson in copying."""
    kinds = (lambda: person(rng, 0.4), lambda: order_id(rng), lambda: product(rng), lambda: amount(rng))
    items = [rng.choice(kinds)() for _ in range(rng.randint(3, 8))]
    again = items if rng.random() < 0.6 else rng.sample(items, len(items))
    quote = rng.choice(("", "'", '"'))
    return ("List: " + ", ".join(items) + rng.choice((".\nAgain: ", ".\nOnce more: ", "\n"))
            + ", ".join(f"{quote}{item}{quote}" for item in again) + ".")


def log(rng: Random) -> str:
    """Log lines that keep coming back to the same few entities."""
    people = [(person(rng, RARE), order_id(rng), product(rng)) for _ in range(rng.randint(2, 3))]
    lines = []
    for _ in range(rng.randint(4, 7)):
        n, o, p = rng.choice(people)
        verb = rng.choice(("opened", "paid", "packed", "sent", "received", "closed"))
        lines.append(f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d} {verb} {o} [{n}] {p}")
    return "\n".join(lines)
