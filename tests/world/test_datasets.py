"""The committed data sets: made by this code, apart from each other, and noisy as they claim to be."""

from collections import Counter
from pathlib import Path

import pytest

from rlhf_lab.core.records import Demonstration, Pair, PromptOnly, load_record
from rlhf_lab.core.resources import resource
from rlhf_lab.world import datasets
from rlhf_lab.world.build import write_written
from rlhf_lab.world.judge import judge

FOLDER = resource("datasets")


@pytest.fixture(scope="module")
def committed() -> dict[str, list]:
    return {p.stem: [load_record(line) for line in p.read_bytes().splitlines()] for p in FOLDER.glob("*.jsonl")}


@pytest.fixture(scope="module")
def pairs(committed: dict[str, list]) -> list[Pair]:
    return committed["lab-world-pairs"]


def test_what_needs_no_model_is_made_again_byte_for_byte(tmp_path: Path) -> None:
    write_written(tmp_path, datasets.SEED)
    for made in tmp_path.iterdir():
        assert made.read_bytes() == (FOLDER / made.name).read_bytes(), made.name


def test_written_pairs_are_made_again(pairs: list[Pair]) -> None:
    assert [p for p in pairs if p.chosen.source == "grammar"] == datasets.written_pairs()


def test_no_held_out_question_is_trained_on_anywhere(committed: dict[str, list]) -> None:
    sides: dict[str, set[str]] = {"train": set(), "heldout": set()}
    for records in committed.values():
        for record in records:
            sides[record.split].add(record.prompt.text)
    assert sides["train"] & sides["heldout"] == set()


def test_each_data_set_holds_what_its_name_says(committed: dict[str, list]) -> None:
    kinds = {"demonstrations": Demonstration, "pairs": Pair}
    for name, records in committed.items():
        expected = kinds.get(name.removeprefix("lab-world-"), PromptOnly)
        assert {type(r) for r in records} == {expected}
    assert all({"answer", "raw"} <= r.prompt.tags.keys() for r in committed["lab-world-quiz"])
    assert {r.split for r in committed["lab-world-quiz"]} == {"heldout"}
    shares = Counter(r.prompt.tags["world"] for r in committed["lab-world-prompts"] if r.split == "train")
    assert shares["knowledge"] / shares.total() >= 0.45


def test_demonstrations_know_everything_but_are_of_every_manner(committed: dict[str, list]) -> None:
    seen = [judge(d.prompt, d.completion.text) for d in committed["lab-world-demonstrations"]]
    assert all(values.get("correct", 1) for values in seen)
    for key, low, high in (("rude", 0.25, 0.4), ("rambling", 0.25, 0.45), ("bad_refused", 0.45, 0.65)):
        values = [v[key] for v in seen if key in v]
        assert low < sum(values) / len(values) < high, key


def test_a_tenth_of_the_labels_is_noise_and_tagged_as_such(pairs: list[Pair]) -> None:
    for pair in pairs:
        gold = [judge(pair.prompt, c.text)["gold"] for c in (pair.chosen, pair.rejected)]
        assert pair.tags["flipped"] == (gold[0] < gold[1])
    for split in ("train", "heldout"):
        flipped = [p.tags["flipped"] for p in pairs if p.split == split]
        assert 0.07 < sum(flipped) / len(flipped) < 0.13


def test_three_annotators_often_agree_but_not_always(pairs: list[Pair]) -> None:
    verdicts: dict[tuple[str, frozenset[str]], dict[str, str]] = {}
    for p in pairs:
        key = (p.prompt.text, frozenset((p.chosen.text, p.rejected.text)))
        verdicts.setdefault(key, {})[str(p.tags["annotator"])] = p.chosen.text
    together = [v for v in verdicts.values() if len(v) == 3]
    agreed = sum(len(set(v.values())) == 1 for v in together) / len(together)
    assert len(together) > 150
    assert 0.6 < agreed < 0.9


def test_held_out_pairs_are_samples_that_differ_in_gold(pairs: list[Pair]) -> None:
    heldout = [p for p in pairs if p.split == "heldout"]
    assert len(heldout) >= 500
    assert len(pairs) - len(heldout) >= 3800
    for pair in heldout:
        assert pair.chosen.source == pair.rejected.source == "sft policy"
        gold = [judge(pair.prompt, c.text)["gold"] for c in (pair.chosen, pair.rejected)]
        assert abs(gold[0] - gold[1]) >= datasets.LEAST_DIFFERENCE


def test_refusing_the_harmless_and_false_facts_are_often_the_worse_answer(pairs: list[Pair]) -> None:
    refused = wrong = 0
    for pair in (p for p in pairs if p.split == "train"):
        better, worse = judge(pair.prompt, pair.chosen.text), judge(pair.prompt, pair.rejected.text)
        refused += better.get("harmless_refused", 1) < worse.get("harmless_refused", 0)
        wrong += better.get("correct", 0) > worse.get("correct", 1)
    assert refused > 250
    assert wrong > 600
