"""One-line notices that mention a date in words, with the date in ISO form."""

from dataclasses import dataclass
from random import Random

from .entities import date, order_id, ordinal, person, product


@dataclass(frozen=True)
class Event:
    text: str
    iso: str


_NOTICES = (
    "The parcel left our warehouse on {d}.", "{n} will visit the shop on {d}.", "Order {o} was paid on {d}.",
    "Your warranty for the {p} ends on {d}.", "The {p} is back in stock from {d}.", "{n} opened an account on {d}.",
    "On {d} we repaired the {p}.", "Please return the {p} by {d}.", "Since {d} order {o} is closed.",
    "The sale of the {p} starts on {d}.")


def event(rng: Random) -> Event:
    d = date(rng)
    words = rng.choice((f"{d.month_name} {d.day}, {d.year}", f"{d.day} {d.month_name} {d.year}",
                        f"the {ordinal(d.day)} of {d.month_name} {d.year}",
                        f"{d.month_name} {ordinal(d.day)} {d.year}"))
    text = rng.choice(_NOTICES).format(d=words, n=person(rng), o=order_id(rng), p=product(rng))
    return Event(text, f"{d.year}-{d.month:02d}-{d.day:02d}")
