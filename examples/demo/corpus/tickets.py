"""Support tickets: a customer, an order, a product and one issue, told in varied words."""

from dataclasses import dataclass
from random import Random

from .entities import order_id, person, product


@dataclass(frozen=True)
class Issue:
    """What can go wrong, with everything that a task derives from it."""

    code: str
    department: str
    priority: str
    gist: str
    brief: str
    remedy: str
    tellings: tuple[str, ...]


ISSUES: tuple[Issue, ...] = (
    Issue("damaged", "Returns", "high", "received a damaged {p}", "received a damaged product",
          "We will send a replacement today.", (
        "the {p} arrived cracked and scratched", "the {p} was broken when I opened the box",
        "the {p} came with a big dent in it", "when I unpacked the {p} it was in pieces")),
    Issue("wrong_item", "Returns", "normal", "got the wrong item instead of a {p}", "got the wrong item",
          "Please keep the parcel, a courier will swap it.", (
              "I ordered a {p} but something else was in the box", "you sent me a different item, not the {p}",
              "the parcel does not contain the {p} that I chose", "I was sent the wrong thing instead of a {p}")),
    Issue("late", "Shipping", "normal", "is still waiting for a {p}", "is waiting for a late parcel",
          "The parcel is on its way and will arrive this week.", (
              "the {p} has still not arrived", "I have been waiting two weeks for the {p}",
              "the delivery of the {p} is very late", "the tracking page of my {p} has not moved for days")),
    Issue("address", "Shipping", "normal", "wants a {p} sent to a new address",
          "wants the parcel sent to a new address",
          "We have noted the new address.", (
              "I moved, so the {p} should go to my new address", "please send the {p} to another address",
              "I typed the wrong street for the {p}", "can you change where the {p} will be delivered")),
    Issue("double_charge", "Billing", "high", "was charged twice for a {p}", "was charged twice",
          "The second payment will be returned in three days.", (
              "I was charged twice for the {p}", "my card shows two payments for one {p}",
              "you took the money for the {p} two times", "the {p} was billed twice on my statement")),
    Issue("refund", "Billing", "high", "is missing the refund for a {p}", "is missing a refund",
          "Your refund has been released to your card.", (
              "I sent back the {p} but never got my money", "the refund for the {p} is missing",
              "I am still waiting for the refund of the {p}", "nobody has paid me back for the {p} yet")),
    Issue("invoice", "Billing", "low", "needs an invoice for a {p}", "needs an invoice",
          "The invoice is attached to this message.", (
              "I need an invoice for the {p}", "the bill for the {p} was not in the box",
              "could you email me a receipt for the {p}", "my company asks for a tax invoice for the {p}")),
    Issue("defective", "Technical", "high", "has a {p} that stopped working", "has a product that stopped working",
          "Our technicians will call you to check it.", (
              "the {p} stopped working after one day", "the {p} does not turn on any more",
              "the {p} makes a loud noise and then fails", "since last night the {p} is dead")),
    Issue("setup", "Technical", "low", "needs help to set up a {p}", "needs help with the setup",
          "Our setup guide is linked below.", (
              "I cannot work out how to set up the {p}", "the manual of the {p} is confusing",
              "which parts of the {p} do I put together first", "I need help with assembling the {p}")),
    Issue("password", "Account", "normal", "cannot log in to track a {p}", "cannot log in",
          "We have sent you a link for a new password.", (
              "I forgot my password and cannot see the {p} in my account",
              "the login page refuses me when I look up the {p}",
              "my account is locked, so I cannot follow the {p}", "I cannot sign in to check on the {p}")),
    Issue("close", "Account", "low", "wants to close the account after buying a {p}", "wants to close the account",
          "Your account will be closed tomorrow.", (
              "after buying the {p} I want to close my account", "please delete my profile now that I have the {p}",
              "I have the {p} and no longer need an account, remove it",
              "once the {p} is settled, erase all my data")),
)

_OPENERS = ("Hello, ", "Hi, ", "Good morning, ", "Dear team, ", "Hey, ", "")
_ORDERS = ("my order is {o}.", "this is about order {o}.", "I am writing about order {o}.",
           "order number {o}.", "it concerns order {o}.")
_FILLERS = ("Please help.", "I am quite upset.", "What should I do?", "Thanks in advance.", "It is rather urgent.",
            "I hope you can sort this out.", "This is my second message.", "I like your shop otherwise.",
            "Please answer soon.", "My family is disappointed.", "It was a birthday gift.", "")
_SIGNATURES = ("Regards, {n}", "Best, {n}", "Thank you, {n}", "{n}", "Yours, {n}")
_INTROS = ("my name is {n}.", "I am {n}.", "{n} here.", "this is {n}.")


@dataclass(frozen=True)
class Ticket:
    name: str
    order: str
    product: str
    issue: Issue
    text: str

    @property
    def gist(self) -> str:
        return self.issue.gist.format(p=self.product)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def ticket(rng: Random, rare: float = 0.0) -> Ticket:
    name, order, thing, issue = person(rng, rare), order_id(rng), product(rng), rng.choice(ISSUES)
    telling = rng.choice(issue.tellings).format(p=thing)
    mention = rng.choice(_ORDERS).format(o=order)
    signed = rng.random() < 0.5
    parts = [] if signed else [rng.choice(_INTROS).format(n=name)]
    body = [telling + ".", mention]
    rng.shuffle(body)
    parts += body
    filler = rng.choice(_FILLERS)
    if filler:
        parts.insert(rng.randint(1, len(parts)), filler)
    opener = rng.choice(_OPENERS)
    parts = [part if opener and i == 0 else _sentence(part) for i, part in enumerate(parts)]
    text = opener + " ".join(parts)
    if signed:
        text += " " + rng.choice(_SIGNATURES).format(n=name)
    return Ticket(name, order, thing, issue, text)
