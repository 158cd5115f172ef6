"""Product reviews whose opinion is positive, neutral or negative."""

from dataclasses import dataclass
from random import Random

from .entities import product

OPINIONS: dict[str, tuple[str, ...]] = {
    "positive": ("I love it", "it works perfectly", "the quality is excellent", "it is a joy to use",
                 "best purchase of the year", "my whole family adores it", "it exceeded my hopes",
                 "I would buy it again at once", "it looks beautiful", "worth every cent"),
    "negative": ("I hate it", "it broke within a week", "the quality is awful", "it is a pain to use",
                 "worst purchase of the year", "my whole family dislikes it", "it ruined my weekend",
                 "I would never buy it again", "it looks cheap and ugly", "a waste of money"),
    "neutral": ("it is okay", "it does the job", "the quality is average", "it is neither good nor bad",
                "about what I expected", "nothing special", "I have no strong opinion",
                "I might or might not buy it again", "it looks ordinary", "fair for the price"),
}
STARS = {"positive": 5, "neutral": 3, "negative": 1}
_FACTS = ("I bought the {p} in {w}.", "The {p} came in a brown box.", "This is a review of the {p}.",
          "I use the {p} every {d}.", "My {r} gave me the {p}.", "We picked the {p} from the catalogue.",
          "The {p} was delivered on a {d}.", "I have had the {p} since {w}.")
_SEASONS = ("spring", "summer", "autumn", "winter", "January", "June", "October")
_DAYS = ("Monday", "Tuesday", "Friday", "Sunday", "morning", "evening")
_RELATIVES = ("sister", "brother", "uncle", "friend", "neighbour", "boss")


@dataclass(frozen=True)
class Review:
    product: str
    opinion: str
    text: str


def review(rng: Random) -> Review:
    thing, opinion = product(rng), rng.choice(tuple(OPINIONS))
    fact = rng.choice(_FACTS).format(p=thing, w=rng.choice(_SEASONS), d=rng.choice(_DAYS),
                                     r=rng.choice(_RELATIVES))
    said = rng.sample(OPINIONS[opinion], rng.randint(1, 2))
    sentences = [fact] + [s[0].upper() + s[1:] + "." for s in said]
    if rng.random() < 0.3:
        rng.shuffle(sentences)
    return Review(thing, opinion, " ".join(sentences))
