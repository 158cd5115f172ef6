"""The base corpus: a stream of mixed documents, reproducible from one seed."""

from collections.abc import Callable, Iterator
from random import Random

from . import records, sql
from .dialogues import dialogue
from .questions import spoken
from .reviews import STARS, review


def _rated_review(rng: Random) -> str:
    r = review(rng)
    stars = STARS[r.opinion]
    return r.text + "\n" + rng.choice((f"Stars: {stars} of 5", f"[{stars}/5] {r.product}", "*" * stars))


# Weight of each kind of document.
MIX: tuple[tuple[int, Callable[[Random], str]], ...] = (
    (20, records.ticket_json),
    (8, records.ticket_card),
    (16, records.ticket_note),
    (12, records.purchase),
    (5, records.calendar),
    (6, records.roll_call),
    (3, records.log),
    (4, sql.schema),
    (8, sql.queries),
    (2, spoken),
    (8, _rated_review),
    (10, dialogue),
)


def documents(seed: int) -> Iterator[str]:
    rng = Random(seed)
    weights, makers = zip(*MIX, strict=True)
    while True:
        yield rng.choices(makers, weights)[0](rng)
