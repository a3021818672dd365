"""Ranking without a window: levels, order of the answers, undo and redo, counters, prompts for fresh answers."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.judgement import Judgement
from rlhf_lab.core.records import Candidates, Completion, Demonstration, Message, Pair, Prompt, PromptOnly
from rlhf_lab.gui.models.contenders import Contender
from rlhf_lab.gui.models.fresh import FreshPlan, as_asked, candidates, questions
from rlhf_lab.gui.models.rank_levels import Levels
from rlhf_lab.gui.models.rank_tally import Tally
from rlhf_lab.gui.models.rank_words import order_words, outcome_words
from rlhf_lab.gui.models.ranking import Desk, Item, Said
from rlhf_lab.store import Store


class Clock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "lab.sqlite") as opened:
        with opened.new_dataset("pairs", "lab", "pair") as writer:
            writer.add(pair(n) for n in range(6))
        with opened.new_dataset("answers", "lab", "candidates") as writer:
            writer.add([several(3), several(10), several(4)])
        yield opened


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def desk(store: Store, clock: Clock) -> Desk:
    made = Desk(store, clock=clock, chance=random.Random(3))
    made.open("Ada", "pairs", "unranked")
    made.offer(ids(store, "pairs"))
    made.looking()
    return made


def ids(store: Store, name: str) -> list[int]:
    return [row.id for row in store.page(name)]


def question(text: str) -> Prompt:
    return Prompt(messages=(Message(role="user", content=text),))


def pair(n: int) -> Pair:
    return Pair(
        prompt=question(f"Is {n} a number?"),
        chosen=Completion(text=f"Yes, {n} is one.", source="PPO 1"),
        rejected=Completion(text="No.", source="SFT 1"),
    )


def several(answers: int) -> Candidates:
    made = tuple(Completion(text=f"Answer {n} of {answers}") for n in range(answers))
    return Candidates(prompt=question("And now?"), completions=made)


# Levels


def test_equal_levels_are_equal_ranks_and_gaps_do_not_matter() -> None:
    levels = Levels(4)
    for answer, level in enumerate((4, 1, 4, 2)):
        assert levels.ranks() is None
        levels.put(answer, level)

    assert levels.ranks() == (3, 1, 3, 2)
    levels.put(0, 5)  # there are four
    assert levels.of(0) == 4


def test_an_answer_put_between_two_makes_room() -> None:
    levels = Levels(3)
    for answer in range(3):
        levels.put(answer, answer + 1)

    levels.insert_above(0, 3)  # between the second and the third

    assert levels.ranks() == (2, 1, 3)
    levels.insert_above(2, 1)
    assert levels.ranks() == (3, 2, 1)


@given(st.integers(2, 9), st.data())
def test_putting_between_keeps_the_order_of_the_others(count: int, data: st.DataObject) -> None:
    levels = Levels(count)
    for answer in range(count):
        level = data.draw(st.none() | st.integers(1, count))
        if level is not None:
            levels.put(answer, level)
    moved, gap = data.draw(st.integers(0, count - 1)), data.draw(st.integers(1, count + 1))
    others = {answer: levels.of(answer) for answer in range(count) if answer != moved}

    levels.insert_above(moved, gap)

    landed = levels.of(moved)
    assert landed is not None
    assert levels.on(landed) == [moved]
    for answer, level in others.items():
        now = levels.of(answer)
        assert (now is None) == (level is None)
        if level is not None and now is not None:
            assert (now < landed) == (level < gap)
            for other, before in others.items():
                if before is not None:
                    assert (before < level) == (levels.of(other) < now)


def test_a_lifted_answer_stays_between_best_and_worst() -> None:
    levels = Levels(2)
    levels.move(0, 1)
    assert levels.of(0) == 1
    levels.move(0, -1)
    assert levels.of(0) == 1
    levels.move(1, -1)
    assert levels.of(1) == 2
    levels.take_off(1)
    assert levels.unranked() == [1]


# The desk


def test_ranks_by_place_are_stored_by_answer_whatever_the_side(desk: Desk, store: Store, clock: Clock) -> None:
    sides = set()
    for _ in range(6):
        item = desk.current
        sides.add(item.shown)
        better = item.answers.index(item.record.chosen)
        clock.now += 4
        desk.judge("ranked", (1, 2) if better == 0 else (2, 1))
        desk.looking()

    verdicts = dict(store.verdicts("pairs", "Ada"))
    assert sides == {(0, 1), (1, 0)}
    assert {verdict.ranks for verdict in verdicts.values()} == {(1, 2)}
    assert {verdict.seconds for verdict in verdicts.values()} == {4.0}
    assert desk.current is None


def test_whoever_goes_away_is_not_slow(desk: Desk, store: Store, clock: Clock) -> None:
    clock.now += 50_000
    desk.judge("skip")
    clock.now -= 60_000  # somebody set the clock
    desk.judge("skip")

    assert [verdict.seconds for _, verdict in store.verdicts("pairs")] == [600.0, 0.0]


def test_undo_shows_the_same_sides_and_what_was_said(desk: Desk, store: Store) -> None:
    first = desk.current
    desk.judge("ranked", (2, 1), strength=2, note="rude")
    second = desk.current

    undone = desk.undo()

    assert (undone.item.id, desk.current.shown) == (first.id, first.shown)
    assert (desk.current.before.strength, desk.current.before.note) == (2, "rude")
    assert store.verdict_count("pairs", "Ada") == 0
    desk.judge("tie", (1, 1))
    assert (desk.current.id, desk.current.shown) == (second.id, second.shown)
    assert desk.redo() is None


def test_redo_goes_on_where_undo_came_from(desk: Desk, store: Store) -> None:
    shown = []
    for _ in range(3):
        shown.append(desk.current.id)
        desk.judge("ranked", (1, 2))
    after = desk.current.id
    desk.undo()
    desk.undo()

    assert desk.current.id == shown[1]
    assert desk.redo().item.id == shown[1]
    assert desk.current.id == shown[2]
    assert desk.redo().item.id == shown[2]
    assert desk.current.id == after
    assert store.verdict_count("pairs", "Ada") == 3


def test_undo_reaches_into_another_data_set_and_an_earlier_sitting(desk: Desk, store: Store) -> None:
    desk.judge("ranked", (1, 2))
    later = Desk(store)
    later.open("Ada", "answers", "unranked")
    later.offer(ids(store, "answers"))

    undone = later.undo()

    assert undone.item.dataset == later.dataset == "pairs"
    assert later.current.record == undone.item.record
    assert later.undo() is None


def test_a_verdict_undone_while_repeating_is_given_again_as_what_it_was(store: Store) -> None:
    first, second, third = ids(store, "pairs")[:3]
    desk = Desk(store)
    desk.open("Ada", "pairs", "unranked")
    desk.offer([first, second])
    for _ in range(2):
        desk.judge("ranked", (1, 2))
    desk.open("Ada", "pairs", "repeats")
    desk.offer([third])

    desk.undo()
    desk.undo()
    for _ in range(2):
        desk.judge("ranked", (2, 1))

    assert [(key, said.repeat) for key, said in store.verdicts("pairs", "Ada")] == [(first, False), (second, False)]
    assert desk.current.repeat


def test_a_repeat_undone_elsewhere_replaces_no_verdict(store: Store) -> None:
    key, other = ids(store, "pairs")[:2]
    desk = Desk(store)
    desk.open("Ada", "pairs", "unranked")
    desk.offer([other, key])
    desk.judge("ranked", (1, 2))
    desk.judge("ranked", (1, 2))
    desk.open("Ada", "pairs", "repeats")
    desk.offer([other, key])
    desk.judge("tie", (1, 1))
    desk.judge("tie", (1, 1))
    desk.open("Ada", "pairs", "unranked")

    desk.undo()
    desk.undo()
    desk.judge("tie", (1, 1))
    desk.judge("tie", (1, 1))

    assert [said.repeat for _, said in store.verdicts("pairs", "Ada")] == [False, False, True, True]
    for _ in range(4):
        desk.undo()
    for _ in range(4):
        desk.judge("tie", (1, 1))
    assert [said.repeat for _, said in store.verdicts("pairs", "Ada")] == [False, False, True, True]


def test_undoing_a_verdict_on_a_removed_record_is_said(desk: Desk, store: Store) -> None:
    removed = desk.current.id
    desk.judge("ranked", (1, 2))
    store.remove("pairs", [removed])

    with pytest.raises(LabError, match="no longer in “pairs”"):
        desk.undo()


def test_answers_that_were_changed_while_they_were_shown_are_not_judged(desk: Desk, store: Store) -> None:
    shown = desk.current
    swapped = shown.record.model_copy(update={"chosen": shown.record.rejected, "rejected": shown.record.chosen})
    store.edit("pairs", shown.id, swapped)

    with pytest.raises(LabError, match="changed meanwhile"):
        desk.judge("ranked", (1, 2))

    assert store.verdict_count("pairs", "Ada") == 0
    assert (desk.current.id, desk.current.record) == (shown.id, swapped)
    better = desk.current.answers[0]
    desk.judge("ranked", (1, 2))
    ((_, said),) = store.verdicts("pairs", "Ada")
    assert (swapped.chosen, swapped.rejected)[said.best] == better


def test_a_record_that_is_removed_while_it_is_shown_gives_way_to_the_next(desk: Desk, store: Store) -> None:
    shown = desk.current.id
    store.remove("pairs", [shown])

    with pytest.raises(LabError, match="removed meanwhile"):
        desk.judge("skip")

    assert desk.current.id != shown
    desk.judge("skip")
    assert store.verdict_count("pairs", "Ada") == 1


def test_only_two_to_nine_answers_are_shown(store: Store) -> None:
    desk = Desk(store)
    desk.open("Ada", "answers", "unranked")
    desk.offer(ids(store, "answers"))
    sizes = []
    while desk.current is not None:
        sizes.append(len(desk.current.shown))
        desk.judge("both_bad")

    assert (sizes, desk.left_out) == ([3, 4], 1)


def test_a_record_that_was_removed_meanwhile_is_passed_over(desk: Desk, store: Store) -> None:
    shown = desk.current.id
    store.remove("pairs", [key for key in ids(store, "pairs") if key != shown][:2])

    desk.judge("skip")
    desk.judge("skip")

    assert (desk.left_out, desk.waiting) == (2, 1)


# Counters and words


def test_the_tally_counts_place_length_and_agreement_and_takes_back() -> None:
    tally = Tally()
    other = Judgement(who="Ben", when=0, verdict="ranked", ranks=(1, 2))
    said = Judgement(who="Ada", when=0, seconds=10, verdict="ranked", ranks=(1, 2), shown_order=(1, 0))
    tie = Judgement(who="Ada", when=0, seconds=20, verdict="tie", ranks=(1, 1), shown_order=(0, 1))
    best_last = Judgement(who="Ada", when=0, seconds=6, verdict="ranked", ranks=(2, 2, 1), shown_order=(2, 0, 1))
    tally.add(said, (40, 10), [other])
    tally.add(tie, (40, 10), [other])
    tally.add(best_last, (5, 5, 5))

    assert (tally.done, tally.per_hour) == (3, 300.0)
    assert (tally.agreed, tally.shared) == (1, 2)
    assert (tally.first, tally.decided) == (1, 2)
    assert (tally.longer, tally.unequal) == (1, 1)

    tally.take_back(best_last, (5, 5, 5))
    tally.take_back(tie, (40, 10), [other])
    tally.take_back(said, (40, 10), [other])
    assert tally == Tally()


def test_what_was_said_is_told_by_the_letters_that_were_seen() -> None:
    item = Item("pairs", 1, pair(1), (1, 0))
    said = Judgement(who="Ada", when=0, verdict="ranked", ranks=(1, 2), shown_order=(1, 0), strength=2)

    assert outcome_words(Said(item, said)) == "B much better – A: SFT 1 · B: PPO 1"
    assert order_words((3, 1, 3, 2)) == "B > D > A = C"


# Fresh answers


def test_every_prompt_comes_once_and_keeps_its_split(store: Store) -> None:
    with store.new_dataset("talks", "lab", "demonstration") as writer:
        writer.add(
            Demonstration(
                prompt=question(f"Q{n % 12}"),
                completion=Completion(text=str(n)),
                split="heldout" if n % 12 == 3 else "train",
            )
            for n in range(30)
        )

    found = list(questions(store, "talks", random.Random(1)))

    assert sorted(one.prompt.text for one in found) == sorted(f"Q{n}" for n in range(12))
    assert [one.prompt.text for one in found if one.split == "heldout"] == ["Q3"]
    assert list(questions(store, "talks", random.Random(2))) != found


def test_models_take_turns_and_equal_answers_become_one() -> None:
    plan = FreshPlan("talks", (Contender("bundled"), Contender("", "sft-1", "sft"), Contender("", "ppo-1", "ppo")), 5)
    asked = PromptOnly(prompt=question("Hi?"), split="heldout")

    made = candidates(asked, [("Hello.", "SFT 1"), ("  ", "SFT 1"), ("Hello.", "PPO 1"), ("Go away.", "Base model")])

    assert plan.shares == [2, 2, 1]
    assert plan.title == "fresh answers of Base model, SFT 1 and 1 more"
    assert [(one.text, one.source) for one in made.completions] == [
        ("Hello.", "SFT 1, PPO 1"),
        ("Go away.", "Base model"),
    ]
    assert made.split == "heldout"
    assert candidates(asked, [("Hello.", "SFT 1"), ("Hello.", "PPO 1")]) is None


def test_a_base_is_asked_to_go_on_with_a_text() -> None:
    prompt, mode, stop = as_asked(question("Is it late?"), Contender("bundled"))

    assert (prompt.text, mode, stop) == ("Question: Is it late?\nAnswer:", "raw", "\n")
    assert as_asked(question("Is it late?"), Contender("", "sft-1", "sft")) == (question("Is it late?"), "chat", None)
