"""Agreement against published examples and simulated people whose faults are known; and what is said about them."""

import math
import random

import pytest

from rlhf_lab.core.judgement import Judgement
from rlhf_lab.core.records import AnyRecord, Candidates, Completion, Message, Pair, Prompt, Ranking, load_record
from rlhf_lab.core.resources import resource
from rlhf_lab.data.agreement import _alpha_of, _kappa, judged_in, quality
from rlhf_lab.data.share import Share


def prompt(text: str) -> Prompt:
    return Prompt(messages=(Message(role="user", content=text),))


def pair(number: int, chosen: str = "this is longer", rejected: str = "shorter") -> Pair:
    return Pair(prompt=prompt(f"q{number}"), chosen=Completion(text=chosen), rejected=Completion(text=rejected))


def said(who: str, *ranks: int, **more: object) -> Judgement:
    verdict = ("tie" if len(set(ranks)) == 1 else "ranked") if ranks else "both_bad"
    return Judgement.model_validate({"who": who, "when": 1.0, "verdict": verdict, "ranks": ranks, **more})


def everybody(
    count: int, people: dict[str, float], seed: int = 1
) -> tuple[list[tuple[int, Judgement]], dict[int, AnyRecord]]:
    """Each person says what is true (the first answer of every record) that often, else the opposite."""
    rng, judged = random.Random(seed), []
    for record in range(count):
        for who, right in people.items():
            order = tuple(rng.sample((0, 1), 2))
            judged.append(
                (record, said(who, *((1, 2) if rng.random() < right else (2, 1)), shown_order=order, seconds=5.0))
            )
    return judged, {n: pair(n) for n in range(count)}


def test_alpha_is_that_of_the_published_example() -> None:
    # Krippendorff, "Computing Krippendorff's alpha-reliability" (2011), B: two people and ten units, both 0 in
    # five, both 1 in one, different in four: 1 − 19·4/(14·6).
    import numpy as np

    counts = np.array([[2, 0, 0]] * 5 + [[0, 0, 2]] + [[1, 0, 1]] * 4)
    assert _alpha_of(counts) == pytest.approx(0.095, abs=5e-4)


def test_kappa_is_that_of_the_published_example() -> None:
    # Cohen's kappa of 50 grant proposals read by two people: 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no.
    found = _kappa([(1, 1)] * 20 + [(1, -1)] * 5 + [(-1, 1)] * 10 + [(-1, -1)] * 15)
    assert found is not None
    assert found.value == pytest.approx(0.4)
    assert found.low < 0.4 < found.high


def test_people_who_agree_most_of_the_time() -> None:
    found = quality(*everybody(400, {"Ada": 0.92, "Ben": 0.92}))
    assert (found.verdicts, found.records, found.shared) == (800, 400, 400)
    assert found.agreed.value == pytest.approx(0.85, abs=0.05)
    assert found.alpha is not None
    # Both answers are equally likely by chance, so alpha is twice the share above a half.
    assert found.alpha.value == pytest.approx(2 * found.agreed.value - 1, abs=0.02)
    assert found.alpha.low < found.alpha.value < found.alpha.high
    (two,) = found.twos
    assert two.kappa is not None
    assert two.kappa.value == pytest.approx(found.alpha.value, abs=0.02)
    assert found.grade == "good"
    assert found.advice[0].startswith("People agree in 8")
    assert found.advice[0].endswith("Good enough to train on.")


def test_the_order_in_which_answers_are_stored_does_not_matter() -> None:
    judged, records = everybody(300, {"Ada": 0.9, "Ben": 0.9})
    turned = [
        (record, said(j.who, *j.ranks[::-1], shown_order=j.shown_order) if record % 2 else j) for record, j in judged
    ]
    one, other = quality(judged, records).alpha, quality(turned, records).alpha
    assert one is not None
    assert other is not None
    assert one.value == pytest.approx(other.value, abs=0.03)


def test_people_who_guess() -> None:
    found = quality(*everybody(300, {"Ada": 0.5, "Ben": 0.5}))
    assert found.alpha is not None
    assert found.alpha.low < 0 < found.alpha.high
    assert found.grade == "poor"
    assert found.advice[0].startswith("Not good enough yet")


def test_people_who_say_the_opposite_are_not_said_to_agree_as_by_chance() -> None:
    found = quality(*everybody(60, {"Ada": 1.0, "Ben": 0.0}))
    assert found.alpha is not None
    assert (found.grade, found.alpha.high < 0) == ("poor", True)
    assert "less than by chance" in found.advice[0]
    assert "more than by chance" not in found.advice[0]


def test_agreement_that_may_be_chance_is_no_grade() -> None:
    # Of thrown verdicts on 30 records, some agree as well as published data do.
    for seed in range(60):
        found = quality(*everybody(30, {"Ada": 0.5, "Ben": 0.5}, seed))
        assert found.alpha is not None
        if found.alpha.value >= 0.2 and found.alpha.low <= 0:
            assert found.grade == "unknown"
            assert "may be chance" in found.advice[0]
            return
    pytest.fail("no such throw")


def test_the_one_who_judges_unlike_the_others_is_named() -> None:
    found = quality(*everybody(200, {"Ada": 0.95, "Ben": 0.95, "Cleo": 0.55}))
    (named,) = [text for text in found.advice if "agrees with the others" in text]
    assert named.startswith("Cleo ")


def test_a_tie_is_half_a_disagreement() -> None:
    base = [(n, said(who, 1, 2) if n % 2 else said(who, 2, 1)) for n in range(40) for who in ("Ada", "Ben")]
    records: dict[int, AnyRecord] = {n: pair(n) for n in range(41)}
    values = [
        quality([*base, (40, said("Ada", 1, 2)), (40, said("Ben", *ranks))], records).alpha
        for ranks in ((1, 2), (1, 1), (2, 1))
    ]
    assert None not in values
    agreed, tied, opposed = (value.value for value in values if value is not None)
    assert agreed == 1
    assert opposed < tied < agreed


def test_repeats_tell_how_firm_a_person_is() -> None:
    judged = [(n, said("Ada", 1, 2)) for n in range(40)]
    judged += [(n, said("Ada", *((1, 2) if n < 18 else (2, 1)), repeat=True)) for n in range(40)]
    found = quality(judged, {n: pair(n) for n in range(40)})
    assert (found.with_self, found.people[0].with_self) == (Share(18, 40), Share(18, 40))
    assert (found.shared, found.alpha, found.grade) == (0, None, "poor")
    assert any("Asked again, Ada says the same in 45%" in text for text in found.advice)
    firm = quality([(n, said("Ada", 1, 2, repeat=again)) for n in range(40) for again in (False, True)], {})
    assert (firm.grade, firm.with_self) == ("fair", Share(40, 40))


def test_habits_are_seen_and_said() -> None:
    rng, judged = random.Random(2), []
    for n in range(200):
        order = tuple(rng.sample((0, 1), 2))
        best = order[0] if rng.random() < 0.8 else order[1]
        judged.append((n, said("Ada", *((1, 2) if best == 0 else (2, 1)), shown_order=order, seconds=0.1)))
    found = quality(judged, {n: pair(n) for n in range(200)})
    assert found.first_shown.value == pytest.approx(0.8, abs=0.07)
    assert found.longer.is_chance
    assert found.people[0].seconds == 0.1
    assert any("Ada prefers what stands first" in text for text in found.advice)
    assert any("less time than reading takes" in text for text in found.advice)
    long = quality([(n, said("Ada", 1, 2)) for n in range(100)], {n: pair(n) for n in range(100)})
    assert (long.longer, long.first_shown) == (Share(100, 100), Share(0, 0))
    assert any("longer answer wins in 100%" in text for text in long.advice)


def test_rankings_of_several_answers_count_by_twos() -> None:
    answers = tuple(Completion(text=text) for text in ("a", "bb", "ccc"))
    records: dict[int, AnyRecord] = {n: Candidates(prompt=prompt(str(n)), completions=answers) for n in range(3)}
    judged = [
        (0, said("Ada", 1, 2, 3)),
        (0, said("Ben", 1, 3, 2)),
        (1, said("Ada", 1, 1, 3)),
        (1, said("Ben", 1, 1, 3)),
        (2, said("Ada")),
        (2, said("Ben", 1, 1, 1)),
    ]
    found = quality(judged, records)
    assert found.agreed == Share(8, 9)
    assert found.twos[0].records == 3
    assert found.longer == Share(0, 4)


def test_skipped_is_no_verdict_and_nothing_is_no_error() -> None:
    nothing = quality([], {})
    assert (nothing.verdicts, nothing.alpha, nothing.grade, nothing.people) == (0, None, "unknown", ())
    assert nothing.advice[0].startswith("Nobody can tell yet")
    skipped = Judgement(who="Ada", when=1.0, verdict="skip")
    found = quality([(0, skipped), (0, said("Ben", 1, 2))], {0: pair(0)})
    assert (found.shared, found.people[0].skipped) == (0, 1)


def test_all_the_same_is_not_called_agreement() -> None:
    judged = [(n, said(who, 1, 1)) for n in range(60) for who in ("Ada", "Ben")]
    found = quality(judged, {n: pair(n) for n in range(60)})
    assert (found.alpha, found.grade, found.twos[0].kappa) == (None, "unknown", None)
    assert any("always said the same" in text for text in found.advice)


def test_annotators_of_a_data_set_are_compared_over_turned_pairs() -> None:
    def by(who: str, first: str, second: str) -> Pair:
        return pair(1, first, second).model_copy(update={"tags": {"annotator": who}})

    ranked = Ranking(
        prompt=prompt("r"),
        completions=(Completion(text="x"), Completion(text="y")),
        ranks=(2, 1),
        tags={"annotator": "Ben"},
    )
    judged, records = judged_in([by("Ada", "x", "y"), by("Ben", "y", "x"), by("Cleo", "x", "y"), ranked, pair(5)])
    assert [(key, j.who, j.ranks) for key, j in judged] == [
        (0, "Ada", (1, 2)),
        (0, "Ben", (2, 1)),
        (0, "Cleo", (1, 2)),
        (1, "Ben", (2, 1)),
    ]
    assert sorted(records) == [0, 1]
    assert quality(judged, records).agreed == Share(1, 3)


def test_the_bundled_annotators_agree_as_they_were_made() -> None:
    with resource("datasets/lab-world-pairs.jsonl").open("rb") as lines:
        records = [load_record(line) for line in lines]
    found = quality(*judged_in(records))
    assert [person.who for person in found.people] == ["Ada", "Ben", "Cleo"]
    assert found.shared > 100
    assert found.alpha is not None
    assert math.isclose(found.alpha.value, 2 * found.agreed.value - 1, abs_tol=0.03)
    assert found.grade in ("good", "fair")
    assert all(two.kappa is not None for two in found.twos)
