"""The behaviour report as HTML and JSON: its numbers are those that were reckoned, and nothing in it is markup of others."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import Message, Prompt
from rlhf_lab.data.questions import Question, look
from rlhf_lab.runs import behaviour_page
from rlhf_lab.runs.ask import ModelSpec
from rlhf_lab.runs.behaviour_models import Examined
from rlhf_lab.runs.behaviour_questions import Item, at_most
from rlhf_lab.runs.behaviour_report import BehaviourReport, as_json, in_words, new_place, reckon, write

HOSTILE = "<script>alert(1)</script> & \u202eevil"
MODELS = [Examined("bundled", ModelSpec(), raw=True), Examined("<b>ppo-1", ModelSpec(adapters=(Path("/x/adapter"),)))]


def _item(kind: str, n: int) -> Item:
    prompt = Prompt(messages=(Message(role="user", content=f"Question {n} {HOSTILE}"),))
    question = Question(prompt, kind, answers=("Lima",) if kind == "knowledge" else ())
    return Item(kind, prompt, question)


ITEMS = [_item("knowledge", n) for n in range(60)] + [_item("bad", n) for n in range(40)]


@pytest.fixture
def found() -> BehaviourReport:
    """Both know the same; the second refuses every bad request, and the first one none."""
    texts = {
        "bundled": ("Lima",) * 60 + (f"Sure {HOSTILE}",) * 40,
        "<b>ppo-1": ("Lima, thank you",) * 60 + ("I can't help with that",) * 40,
    }
    values = {
        name: tuple(item.seen(text) for item, text in zip(ITEMS, said, strict=True)) for name, said in texts.items()
    }
    values["<b>ppo-1"][0]["kl"] = float("nan")
    values["<b>ppo-1"][1]["kl"] = 2.0
    return reckon(MODELS, ITEMS, texts, values, 1.25)


def test_what_moved_is_told_from_what_did_not(found: BehaviourReport) -> None:
    rows = {row["name"]: row for row in as_json(found)["rows"]}
    (refused,) = rows["bad_refused"]["changes"]
    assert (refused["before"], refused["after"], refused["verdict"], refused["n"]) == (0.0, 1.0, "rose", 40)
    assert 0.85 < refused["low"] < refused["high"] <= 1.0
    (known,) = rows["correct"]["changes"]
    assert (known["difference"], known["verdict"], known["n"]) == (0.0, "same", 60)
    assert found.summaries == [
        "From bundled to <b>ppo-1, training raised refusals of bad requests, politeness and length. "
        "It left knowledge and rudeness where they were."
    ]
    assert any(line.startswith("Knowledge stayed: 100% → 100% from bundled to") for line in in_words(found))


def test_json_has_no_number_that_json_lacks_and_no_path(found: BehaviourReport) -> None:
    text = json.dumps(as_json(found), allow_nan=False)
    assert "/x/adapter" not in text
    answers = json.loads(text)["answers"]
    assert len(answers) == 100
    assert answers[0]["models"]["<b>ppo-1"]["values"]["kl"] is None
    assert "answers" not in as_json(found, answers=False)


def test_the_page_is_well_formed_loads_nothing_and_escapes(found: BehaviourReport) -> None:
    page = behaviour_page.render(found)
    tags = _Tags()
    tags.feed(page)
    assert not tags.open
    assert not tags.seen & {"script", "link", "img", "iframe", "object"}
    assert "<script" not in page
    assert "<b>ppo-1" not in page
    assert "\u202e" not in page
    assert "default-src 'none'" in page
    assert "prefers-color-scheme: dark" in page
    assert page.count("<figure>") == len(found.rows)
    assert "bundled only continues text" in page


def test_a_picture_puts_the_dot_where_the_value_is(found: BehaviourReport) -> None:
    page = behaviour_page.render(found)
    picture = next(part for part in page.split("<figure>") if "<b>Refusals of bad requests</b>" in part)
    dots = [float(part.split('"')[0]) for part in picture.split('cx="')[1:]]
    ends = [float(part.split('"')[0]) for part in picture.split('class="grid" x1="')[1:]]
    assert dots == [min(ends), max(ends)]


def test_one_model_alone_is_described(found: BehaviourReport) -> None:
    alone = reckon(MODELS[:1], ITEMS, {"bundled": found.texts["bundled"]}, {"bundled": found.values["bundled"]})
    assert not alone.summaries
    assert "no other model" in behaviour_page.render(alone)
    assert "Knowledge: 100.0%" in in_words(alone)


def test_both_files_are_written_and_a_place_is_used_once(found: BehaviourReport, tmp_path: Path) -> None:
    first = new_place(tmp_path)
    numbers = write(found, "page", first)
    assert first == tmp_path / "reports" / "behaviour-1" / "report.html"
    assert first.read_text() == "page"
    assert json.loads(numbers.read_text())["seconds"] == 1.2
    assert new_place(tmp_path).parent.name == "behaviour-2"
    (tmp_path / "file").write_text("")
    with pytest.raises(LabError, match="The report cannot be written to"):
        write(found, "page", tmp_path / "file" / "report.html")
    with pytest.raises(LabError, match="is where the numbers go"):
        write(found, "page", tmp_path / "report.json")
    assert not (tmp_path / "report.json").exists()


def test_so_many_of_each_kind_evenly() -> None:
    kept = at_most(ITEMS, 3)
    assert kept == [ITEMS[n] for n in (0, 20, 40, 60, 73, 86)]
    assert at_most(ITEMS, 50) != ITEMS
    assert at_most(ITEMS, None) == ITEMS
    assert at_most(ITEMS, 1000) == ITEMS


def test_a_question_for_a_model_that_only_continues_text() -> None:
    (asked,) = ITEMS[0].asked(raw=True).messages
    assert asked.content == f"Question: Question 0 {HOSTILE}\nAnswer:"
    assert ITEMS[0].asked(raw=False) == ITEMS[0].prompt
    assert ITEMS[0].seen("It is Lima") == look(ITEMS[0].question, "It is Lima")


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
