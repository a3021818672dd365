"""Records of every kind, with the texts that break formats more often than chance would find them."""

from hypothesis import strategies as st

from rlhf_lab.core.records import (
    AnyRecord,
    Candidates,
    Completion,
    Demonstration,
    Message,
    Pair,
    Prompt,
    PromptOnly,
    Ranking,
    Rated,
    Unpaired,
    competition_ranks,
)

_NASTY = st.sampled_from(
    [
        *("=1+1", "'=1", "''-2", "+", "@x", "\tx", "\rx", "-0.5", "[1]", '["a"]', '[{"role": "user", "content": "x"}]'),
        *(
            '{"a": 1}',
            '"',
            '""',
            "'",
            ",",
            ";",
            "a\r\nb",
            "a\rb",
            "a\n\nb",
            "a\n  \nb\n",
            " x ",
            "\ufeffx",
            "\u2028",
            "null",
        ),
        *(
            "\n\nHuman: x",
            "\n\nAssistant: y",
            "Human: a\n\nAssistant: b",
            "\n\nHuman: a\n\nAssistant:",
            "1",
            "true",
            "NaN",
        ),
        *("prompt,chosen,rejected", "response1", "\x85", "\x1c", "\x7f", "😀", "\u202e", "\\", "\\n"),
    ]
)
FILLED = (_NASTY | st.text(min_size=1, max_size=20)).filter(lambda text: not text.isspace() and "\0" not in text)
_ROLE = st.sampled_from(["system", "user", "assistant"])
PROMPT = st.builds(
    lambda turns, last, tags: Prompt(messages=(*turns, Message(role="user", content=last)), tags=tags),
    st.lists(st.builds(Message, role=_ROLE, content=FILLED), max_size=2) | st.just([]),
    FILLED,
    st.dictionaries(FILLED, FILLED, max_size=1),
)
COMMON = {
    "prompt": PROMPT,
    "split": st.sampled_from(["train", "heldout"]),
    "tags": st.dictionaries(FILLED, FILLED | st.integers(-9, 9) | st.booleans() | st.just(0.5), max_size=2),
}
COMPLETION = st.builds(Completion, text=FILLED, source=_NASTY | st.just(""))
_FINITE = st.floats(allow_nan=False, allow_infinity=False)
_SEVERAL = st.lists(COMPLETION, min_size=2, max_size=5, unique_by=lambda answer: answer.text).map(tuple)
PAIRS = st.builds(
    Pair,
    chosen=COMPLETION,
    rejected=COMPLETION,
    tie=st.booleans(),
    margin=st.none() | _FINITE,
    weight=st.just(1.0) | st.floats(0.01, 1),
    **COMMON,
).filter(lambda pair: pair.chosen.text != pair.rejected.text)
RANKINGS = st.builds(
    lambda answers, places, **common: Ranking(
        completions=answers, ranks=competition_ranks(places[: len(answers)]), **common
    ),
    _SEVERAL,
    st.lists(st.integers(1, 4), min_size=5, max_size=5),
    **COMMON,
)
RATED = st.builds(
    lambda answers, ratings, **common: Rated(completions=answers, ratings=tuple(ratings[: len(answers)]), **common),
    _SEVERAL,
    st.lists(_FINITE, min_size=5, max_size=5),
    **COMMON,
)
BY_KIND: dict[str, st.SearchStrategy[AnyRecord]] = {
    "prompt": st.builds(PromptOnly, **COMMON),
    "demonstration": st.builds(Demonstration, completion=COMPLETION, **COMMON),
    "unpaired": st.builds(Unpaired, completion=COMPLETION, label=st.booleans(), **COMMON),
    "pair": PAIRS,
    "candidates": st.builds(Candidates, completions=_SEVERAL, **COMMON),
    "ranking": RANKINGS,
    "rated": RATED,
}
RECORDS: st.SearchStrategy[AnyRecord] = st.one_of(*BY_KIND.values())
