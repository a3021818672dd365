"""The facts of the world: about three hundred, simple and true, in families that share their wording."""

from dataclasses import dataclass
from functools import cache

from rlhf_lab.world.matter import Matter, capital, with_article


@dataclass(frozen=True)
class Family:
    """Facts of one kind. In the wording, x is the subject and y the answer; ax and ay carry an article."""

    name: str
    questions: tuple[str, ...]
    sentences: tuple[str, ...]
    table: str

    def facts(self) -> list[tuple[str, str]]:
        """(subject, answer), as the table lists them."""
        rows = [row.split(":") for row in self.table.replace("\n", " ").split(",")]
        return [(x.strip(), y.strip()) for x, y in rows]


def wording(template: str, x: str, y: str) -> str:
    """Fill a template; the sentence starts with a large letter."""
    return capital(template.format(x=x, y=y, ax=with_article(x), ay=with_article(y)))


FAMILIES: tuple[Family, ...] = (
    Family(
        "capital",
        ("What is the capital of {x}?", "Which city is the capital of {x}?", "Do you know the capital of {x}?"),
        ("The capital of {x} is {y}.", "{y} is the capital of {x}.", "It is {y}.", "{y}."),
        """France: Paris, Italy: Rome, Spain: Madrid, Germany: Berlin, Japan: Tokyo, China: Beijing, Egypt: Cairo,
        Greece: Athens, Poland: Warsaw, Portugal: Lisbon, Austria: Vienna, Norway: Oslo, Sweden: Stockholm,
        Finland: Helsinki, Denmark: Copenhagen, Ireland: Dublin, Hungary: Budapest, Turkey: Ankara, Russia: Moscow,
        India: Delhi, Thailand: Bangkok, Cuba: Havana, Peru: Lima, Chile: Santiago, Canada: Ottawa, Kenya: Nairobi,
        Morocco: Rabat, Ghana: Accra, Vietnam: Hanoi, Iceland: Reykjavik, Belgium: Brussels, Romania: Bucharest,
        Bulgaria: Sofia, Croatia: Zagreb, Iran: Tehran, Iraq: Baghdad, Nepal: Kathmandu, Brazil: Brasilia,
        Mexico: Mexico City, Ukraine: Kyiv""",
    ),
    Family(
        "continent",
        ("Which continent is {x} in?", "On which continent is {x}?"),
        ("{x} is in {y}.", "{x} lies in {y}.", "It is in {y}.", "{y}."),
        """France: Europe, Poland: Europe, Greece: Europe, Sweden: Europe, Ireland: Europe, Japan: Asia, India: Asia,
        Vietnam: Asia, Nepal: Asia, Iraq: Asia, Kenya: Africa, Ghana: Africa, Morocco: Africa, Egypt: Africa,
        Peru: South America, Chile: South America, Brazil: South America, Canada: North America,
        Mexico: North America, Cuba: North America""",
    ),
    Family(
        "language",
        ("What language do people speak in {x}?", "Which language is spoken in {x}?"),
        ("People speak {y} in {x}.", "In {x} people speak {y}.", "They speak {y}.", "{y}."),
        """France: French, Italy: Italian, Spain: Spanish, Germany: German, Japan: Japanese, Portugal: Portuguese,
        Poland: Polish, Greece: Greek, Sweden: Swedish, Hungary: Hungarian, Turkey: Turkish, Russia: Russian,
        Egypt: Arabic, Thailand: Thai""",
    ),
    Family(
        "young",
        ("What is a young {x} called?", "What do we call a baby {x}?"),
        ("A young {x} is called {ay}.", "A baby {x} is {ay}.", "It is called {ay}.", "{ay}."),
        """dog: puppy, cat: kitten, cow: calf, horse: foal, sheep: lamb, pig: piglet, goat: kid, duck: duckling,
        goose: gosling, hen: chick, bear: cub, deer: fawn, kangaroo: joey, frog: tadpole, swan: cygnet, owl: owlet,
        eagle: eaglet""",
    ),
    Family(
        "sound",
        ("What sound does {ax} make?", "What does {ax} say?"),
        ('{ax} says "{y}".', 'The sound of {ax} is "{y}".', 'It says "{y}".', "{y}."),
        """dog: woof, cat: meow, cow: moo, sheep: baa, pig: oink, duck: quack, hen: cluck, owl: hoot, lion: roar,
        bee: buzz, snake: hiss, horse: neigh""",
    ),
    Family(
        "animal",
        ("What kind of animal is {ax}?", "To which group of animals does {ax} belong?"),
        ("{ax} is {ay}.", "{ax} belongs to the {y}s.", "It is {ay}.", "{ay}."),
        """dog: mammal, whale: mammal, bat: mammal, horse: mammal, lion: mammal, eagle: bird, owl: bird, duck: bird,
        penguin: bird, parrot: bird, ant: insect, bee: insect, beetle: insect, butterfly: insect, snake: reptile,
        lizard: reptile, crocodile: reptile, turtle: reptile, frog: amphibian, toad: amphibian""",
    ),
    Family(
        "legs",
        ("How many legs does {ax} have?", "What is the number of legs of {ax}?"),
        ("{ax} has {y} legs.", "{ax} walks on {y} legs.", "It has {y} legs.", "{y}."),
        """spider: eight, ant: six, bee: six, beetle: six, dog: four, horse: four, hen: two, penguin: two, crab: ten,
        lizard: four""",
    ),
    Family(
        "colour",
        ("What colour is {x}?", "What is the colour of {x}?", "Which colour does {x} have?"),
        ("The colour of {x} is {y}.", "{x} is {y}.", "It is {y}.", "{y}."),
        """a ripe banana: yellow, a lemon: yellow, grass: green, spinach: green, an emerald: green, snow: white,
        milk: white, a polar bear: white, coal: black, a raven: black, blood: red, a ripe tomato: red, a ruby: red,
        a strawberry: red, the clear sky: blue, a carrot: orange, a pumpkin: orange, a flamingo: pink,
        chocolate: brown, an elephant: grey""",
    ),
    Family(
        "mix",
        ("Which colour do you get from {x}?", "What do {x} make when you mix them?"),
        ("{x} make {y}.", "You get {y} from {x}.", "They make {y}.", "{y}."),
        """red and yellow: orange, blue and yellow: green, red and blue: purple, black and white: grey,
        red and white: pink""",
    ),
    Family(
        "opposite",
        ("What is the opposite of {x}?", "Which word is the opposite of {x}?", "Name the opposite of {x}."),
        ("The opposite of {x} is {y}.", "{y} is the opposite of {x}.", "It is {y}.", "{y}."),
        """hot: cold, big: small, tall: short, fast: slow, high: low, new: old, happy: sad, wet: dry, bright: dark,
        hard: soft, open: closed, full: empty, cheap: expensive, strong: weak, early: late, rich: poor, near: far,
        clean: dirty, loud: quiet, wide: narrow, thick: thin, heavy: light, left: right, up: down""",
    ),
    Family(
        "plural",
        ("What is the plural of {x}?", "Which word is the plural of {x}?"),
        ("The plural of {x} is {y}.", "One {x}, two {y}.", "It is {y}.", "{y}."),
        """mouse: mice, goose: geese, foot: feet, tooth: teeth, child: children, man: men, woman: women, ox: oxen,
        leaf: leaves, knife: knives, wolf: wolves, city: cities, box: boxes, baby: babies""",
    ),
    Family(
        "past",
        ("What is the past tense of {x}?", "What is the past form of the verb {x}?"),
        ("The past tense of {x} is {y}.", "Today I {x}, yesterday I {y}.", "It is {y}.", "{y}."),
        """go: went, eat: ate, see: saw, run: ran, take: took, give: gave, write: wrote, sing: sang, swim: swam,
        drink: drank, buy: bought, think: thought, fly: flew, know: knew""",
    ),
    Family(
        "sum",
        ("What is {x}?", "How much is {x}?", "Can you work out {x}?"),
        ("{x} is {y}.", "The sum of {x} is {y}.", "It is {y}.", "{y}."),
        ", ".join(f"{a} plus {b}: {a + b}" for a in range(1, 6) for b in range(1, 6)),
    ),
    Family(
        "next day",
        ("Which day comes after {x}?", "What day follows {x}?"),
        ("{y} comes after {x}.", "The day after {x} is {y}.", "It is {y}.", "{y}."),
        """Monday: Tuesday, Tuesday: Wednesday, Wednesday: Thursday, Thursday: Friday, Friday: Saturday,
        Saturday: Sunday, Sunday: Monday""",
    ),
    Family(
        "next month",
        ("Which month comes after {x}?", "What month follows {x}?"),
        ("{y} comes after {x}.", "The month after {x} is {y}.", "It is {y}.", "{y}."),
        """January: February, February: March, March: April, April: May, May: June, June: July, July: August,
        August: September, September: October, October: November, November: December, December: January""",
    ),
    Family(
        "job",
        ("Who {x}?", "What do we call a person who {x}?"),
        ("{ay} {x}.", "A person who {x} is called {ay}.", "That is {ay}.", "{ay}."),
        """bakes bread: baker, teaches at a school: teacher, flies a plane: pilot, works on a farm: farmer,
        cuts hair: hairdresser, puts out fires: firefighter, paints pictures: painter, writes books: writer,
        looks after teeth: dentist, makes suits: tailor, cooks in a restaurant: chef, looks after sick pets: vet,
        mends cars: mechanic, plays in a band: musician""",
    ),
    Family(
        "sides",
        ("How many sides does {ax} have?", "What is the number of sides of {ax}?"),
        ("{ax} has {y} sides.", "{ax} is a shape with {y} sides.", "It has {y} sides.", "{y}."),
        "triangle: three, square: four, pentagon: five, hexagon: six, octagon: eight, rectangle: four",
    ),
    Family(
        "tool",
        ("What do you need to {x}?", "Which tool helps you to {x}?"),
        ("You need {y} to {x}.", "{y} helps you to {x}.", "You need {y}.", "{y}."),
        """cut paper: scissors, hit a nail: a hammer, open a lock: a key, sweep the floor: a broom,
        look at the stars: a telescope, tell the time: a clock, dig a hole: a spade, eat soup: a spoon,
        brush your teeth: a toothbrush, keep off the rain: an umbrella, sew a button: a needle,
        cut a tree: a saw""",
    ),
    Family(
        "sense",
        ("What do you {x} with?", "Which part of the body do you {x} with?"),
        ("You {x} with your {y}.", "People {x} with the {y}.", "With your {y}.", "Your {y}."),
        "hear: ears, see: eyes, smell: nose, taste: tongue, walk: feet",
    ),
    Family(
        "product",
        ("What do we get from {x}?", "What do {x} give us?"),
        ("We get {y} from {x}.", "{x} give us {y}.", "We get {y}.", "{y}."),
        "bees: honey, hens: eggs, cows: milk, sheep: wool, silkworms: silk, vines: grapes",
    ),
)
FAMILY: dict[str, Family] = {family.name: family for family in FAMILIES}


def key(answer: str) -> str:
    """The part of an answer that must be named: without its article."""
    return answer.removeprefix("a ").removeprefix("an ")


@cache
def rivals(family: str) -> frozenset[str]:
    """Every answer of a family, in the form that `key` gives: naming another one is a false answer."""
    return frozenset(key(y) for _, y in FAMILY[family].facts())


@cache
def knowledge() -> tuple[Matter, ...]:
    """Every fact as something to ask about; its poor answers are the other answers of the family."""
    found = []
    for family in FAMILIES:
        answers = sorted({y for _, y in family.facts()})
        for x, y in family.facts():
            found.append(
                Matter(
                    topic="knowledge",
                    questions=tuple(wording(t, x, y) for t in family.questions),
                    good=tuple(wording(t, x, y) for t in family.sentences),
                    poor=tuple(wording(t, x, z) for z in answers if z != y for t in family.sentences),
                    tags={"family": family.name, "answer": key(y)},
                )
            )
    return tuple(found)
