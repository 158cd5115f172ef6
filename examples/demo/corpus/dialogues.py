"""Chats between a customer and the shop, in the tokenizer's chat format."""

from random import Random

from .entities import CITIES, amount, date, order_id, person, product
from .reviews import STARS, review
from .tickets import ticket

RARE = 0.15
USER, ASSISTANT, END = "<|user|>", "<|assistant|>", "<|end|>"


def turns(*texts: str) -> str:
    roles = (USER, ASSISTANT)
    return "".join(f"{roles[i % 2]}\n{text}{END}\n" for i, text in enumerate(texts)).rstrip("\n")


def _order_status(rng: Random) -> list[str]:
    o, p, c, d = order_id(rng), product(rng), rng.choice(CITIES), date(rng)
    asked = rng.choice(("Where is my order {o}?", "Hello, has {o} been sent?", "What about order {o}?",
                        "Can you check {o} for me?")).format(o=o)
    told = rng.choice(("Order {o} with the {p} left for {c} on {d}.",
                       "The {p} of order {o} is in {c} since {d}.",
                       "I checked {o}: the {p} will reach {c} on {d}.")).format(
                           o=o, p=p, c=c, d=f"{d.day} {d.month_name}")
    return [asked, told, rng.choice(("Thank you!", "Great, thanks.", "Good to know.")),
            rng.choice((f"You are welcome. Enjoy the {p}!", "With pleasure. Have a nice day!",
                        f"Any time. Write to us about {o} whenever you like."))]


def _price(rng: Random) -> list[str]:
    p, a = product(rng), amount(rng)
    return [rng.choice((f"How much is the {p}?", f"What does a {p} cost?", f"Do you sell a {p}?")),
            rng.choice((f"The {p} costs {a} euros.", f"A {p} is {a} euros.", f"Yes, the {p} is {a} euros.")),
            rng.choice(("Is it in stock?", f"And two of them?", "Could I return it?")),
            rng.choice((f"Yes, you can have the {p} at any time.", "Certainly, within thirty days.",
                        f"Of course. Shall I reserve the {p} for you?"))]


def _greeting(rng: Random) -> list[str]:
    n = person(rng, RARE)
    first = n.split()[0]
    return [rng.choice((f"Hello, I am {n}.", f"Hi! My name is {n}.", f"Good morning, {n} here.")),
            rng.choice((f"Hello {first}, how can I help you?", f"Good to meet you, {n}. What can I do for you?",
                        f"Welcome, {first}! What would you like to know?")),
            rng.choice(("What is my name?", "Do you remember my name?", "Who am I?")),
            rng.choice((f"Your name is {n}.", f"You are {n}."))]


def _complaint(rng: Random) -> list[str]:
    t = ticket(rng, RARE)
    return [t.text, f"I am sorry, {t.name.split()[0]}. {t.issue.remedy}",
            rng.choice(("Who takes care of it?", "Which team is it with?")),
            f"The {t.issue.department} team looks after {t.order}."]


def _opinion(rng: Random) -> list[str]:
    r = review(rng)
    stars = STARS[r.opinion]
    return [r.text, rng.choice((f"Thank you. I noted {stars} stars for the {r.product}.",
                                f"So that makes {stars} of 5 for the {r.product}."))]


def dialogue(rng: Random) -> str:
    talk = rng.choice((_order_status, _price, _greeting, _complaint, _opinion))(rng)
    return turns(*talk)
