"""Entities that documents mention and restate: people, products, order ids, dates, amounts."""

from dataclasses import dataclass
from random import Random

FIRST_NAMES = """Maria Anna Peter Lucas Emma Noah Clara Oscar Julia Martin Elena Victor Nina Paul Sofia
Daniel Laura Simon Alice Hugo Marta Felix Irene Tomas Carla Adam Olivia Ivan Rosa Leo Helen Marcus
Diana Oliver Vera Samuel Ingrid Robert Amelia Jonas Teresa Edgar Monica Walter Sarah Bruno Lydia
Arthur Naomi Conrad Judith Stefan Priya Kenji Fatima Omar Yusuf Mei Chloe Ravi""".split()

LAST_NAMES = """Keller Novak Silva Larsen Moreau Rossi Becker Hansen Weber Costa Fischer Dubois Romano
Lindqvist Schmidt Garcia Kowalski Jensen Murphy Walsh Bennett Carter Hughes Foster Palmer Griffin
Hayes Morgan Turner Cooper Ward Brooks Sutton Barker Holmes Dixon Chapman Lawson Nolan Quinn Reyes
Santos Mendes Vargas Ortega Castillo Ivanov Petrov Sato Tanaka Yamada Chen Patel Khan Haddad Mansour
Okafor Mensah Diallo Abebe""".split()

CITIES = """Lisbon Porto Madrid Paris Lyon Berlin Hamburg Vienna Prague Warsaw Oslo Bergen Dublin Cork
London Leeds Rome Milan Athens Zurich Geneva Brussels Tallinn Helsinki Boston Chicago Denver Toronto
Sydney Kyoto""".split()

STYLES = """blue red green black white silver ceramic wooden steel leather cotton glass folding portable
wireless compact""".split()

THINGS = """kettle lamp chair desk backpack blender toaster headset keyboard monitor speaker camera
watch jacket blanket pillow mirror teapot bottle router printer tent bicycle helmet suitcase heater
fan clock sofa shelf""".split()

MONTHS = """January February March April May June July August September October November
December""".split()

_ONSETS = "b br c cl d dr f g gr h j k kl l m n p r s st t tr v w z".split()
_VOWELS = "a e i o u ai ea ou".split()
_CODAS = "n r l s k m t nd rt ck".split()
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"


@dataclass(frozen=True)
class Date:
    year: int
    month: int
    day: int

    @property
    def month_name(self) -> str:
        return MONTHS[self.month - 1]


def rare_word(rng: Random) -> str:
    """A made-up capitalised word, so that copying does not depend on known names."""
    syllables = "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(rng.randint(1, 2)))
    return (syllables + rng.choice(_CODAS)).capitalize()


def person(rng: Random, rare: float = 0.0) -> str:
    first = rare_word(rng) if rng.random() < rare else rng.choice(FIRST_NAMES)
    last = rare_word(rng) if rng.random() < rare else rng.choice(LAST_NAMES)
    return f"{first} {last}"


def product(rng: Random) -> str:
    return f"{rng.choice(STYLES)} {rng.choice(THINGS)}"


def order_id(rng: Random) -> str:
    return f"{rng.choice(_LETTERS)}{rng.choice(_LETTERS)}-{rng.randint(10000, 99999)}"


def amount(rng: Random) -> str:
    return f"{rng.randint(5, 399)}.{rng.choice(['00', '50', '90', '95', '25', '49'])}"


def date(rng: Random) -> Date:
    return Date(rng.randint(2019, 2027), rng.randint(1, 12), rng.randint(1, 28))


def ordinal(day: int) -> str:
    suffix = "th" if 10 <= day % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{suffix}"
