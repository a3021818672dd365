"""Whether labels are good enough to train a reward model on, in words, and what to do about what is not."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from rlhf_lab.core.naming import so_many

if TYPE_CHECKING:
    from rlhf_lab.data.agreement import Quality

Grade = Literal["good", "fair", "poor", "unknown"]

FEW = 200
"""Below so many verdicts a reward model learns next to nothing."""
MANY = 1000
"""From so many on, more verdicts of the same quality are seldom the first thing to wish for."""
FEW_SHARED = 50
"""Below so many records that two people judged, their agreement is a guess."""
GOOD_ALPHA = 0.4
FAIR_ALPHA = 0.2
SURE_OF_ONESELF = 0.8
_SWAYED = 0.55
_LENGTH_SWAYS = 0.6
_READS_FASTER = 100
"""Characters a second; fast readers reach about 30 in print, skimming about twice that."""
_ODD_ONE_OUT = 0.15


def grade(found: "Quality") -> Grade:
    """By agreement, between people or (where only one judged) with oneself; unknown where neither was
    looked at, or where agreement may be chance."""
    if found.alpha is not None and found.shared >= FEW_SHARED // 2:
        alpha = found.alpha.value
        if alpha >= FAIR_ALPHA and found.alpha.low <= 0:
            return "unknown"  # as much may come of verdicts that are thrown
        return "good" if alpha >= GOOD_ALPHA else "fair" if alpha >= FAIR_ALPHA else "poor"
    if found.with_self.of >= FEW_SHARED // 2:
        return "fair" if found.with_self.value >= SURE_OF_ONESELF else "poor"
    return "unknown"


def advice(found: "Quality", given: Grade) -> Iterator[str]:
    """Sentences, the most important first."""
    yield _verdict(found, given)
    yield from _amount(found)
    yield from _overlap(found)
    yield from _people(found)
    yield from _oneself(found)
    yield from _habits(found)


def _verdict(found: "Quality", given: Grade) -> str:
    match given:
        case "good":
            rest = (
                "Good enough to train on."
                if found.verdicts >= FEW
                else "Good enough to train on, once there are more of them."
            )
            return f"People agree in {found.agreed.text} of comparisons, alpha {_alpha(found)}. {rest}"
        case "fair" if found.alpha is not None:
            return (
                f"People agree in {found.agreed.text} of comparisons, alpha {_alpha(found)}: as in much published "
                "preference data. A reward model can be trained on this, but it cannot be right more often than they "
                "agree; clearer guidelines would help more than more labels."
            )
        case "fair":
            return (
                f"One person's labels, which hold when asked again ({found.with_self.text}). A reward model can be "
                "trained on them; it will be that person's taste."
            )
        case "poor" if found.alpha is not None and found.alpha.high < 0:
            return (
                f"Not good enough yet: people agree in {found.agreed.text} of comparisons, alpha {_alpha(found)}, less than "
                "by chance. Somebody has it the wrong way round, or means another thing by better: look at the records in "
                "the queue where people disagree, and for answers or columns that were swapped."
            )
        case "poor" if found.alpha is not None:
            return (
                f"Not good enough yet: people agree in {found.agreed.text} of comparisons, alpha {_alpha(found)}, little "
                "more than by chance. Before ranking on, look at the records in the queue where people disagree, settle "
                "why, and write that into the guidelines."
            )
        case "poor":
            return (
                f"Not good enough yet: asked again, the same person gives the same verdict in only {found.with_self.text} "
                "of comparisons. Rank more slowly, use ties where answers are equal, and write guidelines."
            )
    if found.alpha is not None and found.shared >= FEW_SHARED // 2:
        return (
            f"Nobody can tell yet how good these labels are: people agree in {found.agreed.text} of comparisons, alpha "
            f"{_alpha(found)}, and that may be chance. Let them rank more of the same records."
        )
    return (
        "Nobody can tell yet how good these labels are. Let a second person rank some of the same records, or ask "
        "yourself again with the queue of repeats."
    )


def _alpha(found: "Quality") -> str:
    return found.alpha.text if found.alpha is not None else "unknown"


def _amount(found: "Quality") -> Iterator[str]:
    if found.verdicts < FEW:
        yield (
            f"{so_many(found.verdicts, 'verdict')} {'is' if found.verdicts == 1 else 'are'} few: a reward model begins to "
            f"learn from some {FEW}, and {MANY:,} or more "
            "are usual. The queue of least sure records makes each one count for more."
        )
    elif found.verdicts < MANY:
        yield f"{found.verdicts:,} verdicts are a start; {MANY:,} or more are usual."


def _overlap(found: "Quality") -> Iterator[str]:
    people = len(found.people)
    if people > 1 and found.shared < FEW_SHARED:
        yield (
            f"Only {so_many(found.shared, 'record')} {'was' if found.shared == 1 else 'were'} judged by two people: rank "
            f"about {FEW_SHARED - found.shared} more of "
            "the same ones before relying on how far they agree."
        )
    elif people > 1 and found.alpha is None:
        yield "Where several people judged, all of them always said the same: whether they agree cannot be told from chance."


def _people(found: "Quality") -> Iterator[str]:
    """One who judges unlike the others is either careless or has understood something else."""
    compared = [person for person in found.people if person.with_others.of >= FEW_SHARED // 2]
    for person in compared if len(compared) > 2 else []:
        # What the others agree in among themselves: without the comparisons that this person took part in.
        hits, of = found.agreed.hits - person.with_others.hits, found.agreed.of - person.with_others.of
        if of >= FEW_SHARED // 2 and hits / of - person.with_others.value > _ODD_ONE_OUT:
            yield (
                f"{person.who} agrees with the others in {person.with_others.value:.0%} of comparisons, the others among "
                f"themselves in {hits / of:.0%}. Go through a few of those records together."
            )


def _oneself(found: "Quality") -> Iterator[str]:
    for person in found.people:
        if person.with_self.of >= 10 and person.with_self.high < SURE_OF_ONESELF:
            yield (
                f"Asked again, {person.who} says the same in {person.with_self.text} of comparisons. No model can predict "
                "these labels better than that."
            )
    if found.people and found.with_self.of == 0 and found.verdicts >= FEW // 2:
        yield "Nobody was asked twice yet: some 30 verdicts in the queue of repeats tell how firm the labels are."


def _habits(found: "Quality") -> Iterator[str]:
    for person in found.people:
        place = person.first_shown
        if place.of >= 30 and not place.is_chance and abs(place.value - 0.5) > _SWAYED - 0.5:
            side = "first" if place.value > 0.5 else "last"
            yield (
                f"{person.who} prefers what stands {side} in {max(place.value, 1 - place.value):.0%} of cases, where a half "
                "would be expected. Sides are drawn by lot, so this adds noise and no bias; reading both answers helps."
            )
        pace = person.characters_a_second
        if pace is not None and pace > _READS_FASTER and person.verdicts >= 20:
            yield (
                f"{person.who} has half of the verdicts after less time than reading takes ({pace:,.0f} characters a "
                "second). Slower verdicts are worth more than many."
            )
    if found.longer.of >= 30 and found.longer.low > _LENGTH_SWAYS:
        yield (
            f"The longer answer wins in {found.longer.text} of cases: a reward model will learn length first. If that is not "
            "meant, say so in the guidelines, and look at reward against length after training."
        )
