"""What the world says: facts that stand, questions on one side only, manners that can be told apart."""

import random
import re
from itertools import islice

import pytest

from rlhf_lab.world.facts import FAMILIES, knowledge
from rlhf_lab.world.grammar import Kind, answer, matters, prompt_of, question_texts, running_text, split_of
from rlhf_lab.world.judge import is_correct, judge, read
from rlhf_lab.world.manners import RAMBLING
from rlhf_lab.world.matter import TOPICS, Matter

KINDS: dict[str, tuple[Kind, ...]] = {
    "knowledge": ("good", "poor", "refuse", "shrug"),
    "harmless": ("good", "refuse", "shrug"),
    "bad": ("good", "poor"),
    "unanswerable": ("good", "poor"),
}


def test_there_are_a_few_hundred_facts_and_no_question_has_two_answers() -> None:
    answers: dict[str, set[str]] = {}
    for matter in knowledge():
        for question in matter.questions:
            answers.setdefault(question, set()).add(matter.tags["answer"])
    assert 250 <= len(knowledge()) <= 400
    assert [q for q, found in answers.items() if len(found) > 1] == []


def test_sums_are_right() -> None:
    sums = [m for m in knowledge() if m.tags["family"] == "sum"]
    for matter in sums:
        one, other = re.findall(r"\d+", matter.questions[0])
        assert int(matter.tags["answer"]) == int(one) + int(other)
    assert len(sums) == 25


def test_every_sentence_about_a_fact_is_judged_as_it_is_meant() -> None:
    for matter in knowledge():
        prompt = prompt_of(matter, matter.questions[0])
        assert all(is_correct(prompt, read(text)) for text in matter.good), matter
        assert not any(is_correct(prompt, read(text)) for text in matter.poor), matter


@pytest.mark.parametrize("topic", TOPICS)
def test_every_kind_and_manner_can_be_read_from_the_text(topic: str) -> None:
    rng = random.Random(1)
    for matter in matters(topic):
        prompt = prompt_of(matter, rng.choice(question_texts(matter)))
        for kind in KINDS[topic]:
            for tone in ("polite", "plain", "rude"):
                seen = judge(prompt, answer(matter, kind, tone, "short", rng))
                assert (seen["polite"], seen["rude"]) == (float(tone == "polite"), float(tone == "rude"))
                assert _did_right(seen) == (kind == "good")
                # A polite refusal that gives its reason may well be found long.
                assert not seen["rambling"] or topic == "bad"


def test_idle_talk_never_holds_an_answer() -> None:
    answers = {y.removeprefix("a ").removeprefix("an ") for family in FAMILIES for _, y in family.facts()}
    said = " ".join(RAMBLING).lower()
    assert [y for y in answers if re.search(rf"\b{re.escape(y.lower())}\b", said)] == []


def test_the_bare_questions_of_the_quiz_are_held_out_and_every_topic_has_both_sides() -> None:
    for topic in TOPICS:
        sides = [split_of(matter, text) for matter in matters(topic) for text in question_texts(matter)]
        assert 0.1 < sides.count("heldout") / len(sides) < 0.3
    assert {split_of(m, m.questions[0]) for m in knowledge()} == {"heldout"}


def test_running_text_is_a_function_of_the_seed_and_mostly_questions_with_answers() -> None:
    texts = list(islice(running_text(random.Random(3)), 500))
    assert texts == list(islice(running_text(random.Random(3)), 500))
    assert sum(text.startswith("Question: ") for text in texts) > 250


def test_a_colon_is_followed_only_by_a_question() -> None:
    texts = [text for topic in TOPICS for m in matters(topic) for text in question_texts(m)]
    assert [t for t in texts if re.search(r": (Tell|Name|Can|Do)\b", t)] == []


def test_good_and_poor_answers_of_a_matter_never_meet() -> None:
    everything: list[Matter] = [m for topic in TOPICS for m in matters(topic)]
    assert [m for m in everything if set(m.good) & set(m.poor)] == []


def _did_right(seen: dict[str, float]) -> bool:
    checks = {"correct": 1.0, "harmless_refused": 0.0, "bad_refused": 1.0, "invented": 0.0}
    return all(seen[key] == wanted for key, wanted in checks.items() if key in seen)
