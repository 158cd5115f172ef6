"""The demo's tasks: how a prompt is worded and which answer is right."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from corpus.events import event
from corpus.questions import question
from corpus.reviews import review
from corpus.tickets import Ticket, ticket
from settings import HELDOUT

Pair = tuple[str, str]

# Pairs of letters that are one token: the base saw too few of them to copy them surely, so no task has them.
JOINED_LETTERS = frozenset("AL AN AV BY CR CT ER FR LE MA NS NT RD RE SE TA TE UE UP WH XT".split())


@dataclass(frozen=True)
class Task:
    name: str
    kind: str
    prompt: str
    max_tokens: int
    make: Callable[[Random], Pair]

    def ask(self, text: str) -> str:
        return self.prompt.replace("{input}", text)


def _on_ticket(answer: Callable[[Ticket], str]) -> Callable[[Random], Pair]:
    def make(rng: Random) -> Pair:
        t = ticket(rng)
        while t.order[:2] in JOINED_LETTERS:
            t = ticket(rng)
        return t.text, answer(t)
    return make


def _json(t: Ticket) -> str:
    return json.dumps({"name": t.name, "order": t.order, "issue": t.issue.code, "priority": t.issue.priority})


def _summary(t: Ticket) -> str:
    return f"Customer {t.name} {t.issue.brief}, order {t.order}."


def _reply(t: Ticket) -> str:
    return (f"Dear {t.name}, thank you for your message about order {t.order}. "
            f"{t.issue.remedy} Kind regards, Customer Care")


def _sentiment(rng: Random) -> Pair:
    r = review(rng)
    return r.text, r.opinion


def _sql(rng: Random) -> Pair:
    q = question(rng)
    while q.two_sided or q.names_attribute:
        q = question(rng)
    return q.text, q.sql


def _iso(rng: Random) -> Pair:
    e = event(rng)
    return e.text, e.iso


TASKS: dict[str, Task] = {task.name: task for task in (
    Task("ticket-json", "extraction", "Ticket:\n{input}\n\nJSON:\n", 80, _on_ticket(_json)),
    Task("ticket-department", "classification", "Ticket:\n{input}\n\nDepartment:\n", 8,
         _on_ticket(lambda t: t.issue.department)),
    Task("ticket-summary", "summary", "Ticket:\n{input}\n\nSummary:\n", 48, _on_ticket(_summary)),
    Task("ticket-reply", "reply", "Ticket:\n{input}\n\nReply:\n", 80, _on_ticket(_reply)),
    Task("review-sentiment", "classification", "Review:\n{input}\n\nSentiment:\n", 8, _sentiment),
    Task("question-sql", "sql", "Question:\n{input}\n\nSQL:\n", 64, _sql),
    Task("date-iso", "conversion", "Notice:\n{input}\n\nDate:\n", 16, _iso),
)}


def heldout(task: Task) -> list[Pair]:
    lines = (HELDOUT / f"{task.name}.jsonl").read_text().splitlines()
    return [(row["input"], row["expected"]) for row in map(json.loads, lines)]


def pairs(task: Task, seed: int, excluded: set[str]) -> Iterator[Pair]:
    """Endless pairs of the task, without the excluded inputs."""
    rng = Random(f"{seed}/{task.name}")
    while True:
        pair = task.make(rng)
        if pair[0] not in excluded:
            yield pair
