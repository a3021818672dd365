"""Records: one JSON line each, unchanged by a round trip, strict about what they hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rlhf_lab.core.records import (
    Candidates,
    Completion,
    Demonstration,
    Message,
    Pair,
    Prompt,
    PromptOnly,
    Ranking,
    Rated,
    Record,
    Unpaired,
    competition_ranks,
    dump_record,
    load_record,
)

_text = st.text(st.characters(exclude_categories=["Cs"]))
_tags = st.dictionaries(_text, st.one_of(_text, st.booleans(), st.integers(-(2**53), 2**53)), max_size=3)
_prompts = st.builds(
    Prompt,
    messages=st.lists(
        st.builds(Message, role=st.sampled_from(["system", "user", "assistant"]), content=_text), min_size=1, max_size=3
    ).map(tuple),
    tags=_tags,
)
_completions = st.builds(Completion, text=_text, source=_text)
_shared = {"prompt": _prompts, "split": st.sampled_from(["train", "heldout"]), "tags": _tags}
_margins = st.none() | st.floats(allow_nan=False, allow_infinity=False)
_several = st.lists(_completions, min_size=2, max_size=5).map(tuple)


@st.composite
def _rankings(draw: st.DrawFn) -> Ranking:
    completions = draw(_several)
    places = st.lists(st.integers(0, 3), min_size=len(completions), max_size=len(completions))
    return Ranking(completions=completions, ranks=competition_ranks(draw(places)), **{k: draw(s) for k, s in _fields})


@st.composite
def _rated(draw: st.DrawFn) -> Rated:
    completions = draw(_several)
    finite = st.floats(allow_nan=False, allow_infinity=False)
    ratings = draw(st.lists(finite, min_size=len(completions), max_size=len(completions)))
    return Rated(completions=completions, ratings=tuple(ratings), **{k: draw(s) for k, s in _fields})


_fields = [("prompt", _prompts), ("split", _shared["split"]), ("tags", _tags)]
_records = st.one_of(
    st.builds(PromptOnly, **_shared),
    st.builds(Demonstration, completion=_completions, **_shared),
    st.builds(Unpaired, completion=_completions, label=st.booleans(), **_shared),
    st.builds(Pair, chosen=_completions, rejected=_completions, margin=_margins, tie=st.booleans(), **_shared),
    st.builds(Candidates, completions=_several, **_shared),
    _rankings(),
    _rated(),
)


@pytest.mark.parametrize(
    ("values", "ranks"),
    [([5, 7, 7, 9], (1, 2, 2, 4)), ([0, 1], (1, 2)), ([2.0, 1.0], (2, 1)), ([3, 3, 3], (1, 1, 1))],
)
def test_equal_values_share_the_better_rank(values: list[float], ranks: tuple[int, ...]) -> None:
    assert competition_ranks(values) == ranks


@pytest.mark.parametrize("ranks", [(1, 3), (0, 1), (2, 2), (1,), (1, 2, 3)])
def test_ranks_must_order_the_answers(ranks: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError, match="do not order 2 answers"):
        Ranking(prompt=Prompt(messages=()), completions=(Completion(text="a"), Completion(text="b")), ranks=ranks)


@given(_records)
def test_a_record_survives_its_line(record: Record) -> None:
    line = dump_record(record)
    assert b"\n" not in line
    assert load_record(line) == record


def test_the_kind_of_tags_survives() -> None:
    record = PromptOnly(prompt=Prompt(messages=()), tags={"flag": True, "count": 1, "share": 0.5, "name": "true"})
    found = load_record(dump_record(record)).tags
    assert [type(found[name]) for name in ("flag", "count", "share", "name")] == [bool, int, float, str]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b'{"kind": "pair"}',
        b'{"kind": "poem", "prompt": {"messages": []}}',
        b'{"kind": "prompt", "prompt": {"messages": []}, "more": 1}',
        b'{"kind": "prompt", "prompt": {"messages": [{"role": "robot", "content": "hi"}]}}',
    ],
)
def test_anything_else_is_refused(line: bytes) -> None:
    with pytest.raises(ValidationError):
        load_record(line)


def test_a_margin_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValidationError):
        Pair(
            prompt=Prompt(messages=()), chosen=Completion(text="a"), rejected=Completion(text="b"), margin=float("nan")
        )


def test_the_text_of_one_turn_is_its_content_and_of_more_says_who_speaks() -> None:
    ask, tell = Message(role="user", content="Why?"), Message(role="assistant", content="So.")
    assert Prompt(messages=(ask,)).text == "Why?"
    assert Prompt(messages=(ask, tell, ask)).text == "user: Why?\n\nassistant: So.\n\nuser: Why?"
