"""A small file of every format: its rows, the records that they become, and a row that becomes a problem."""

import json
from dataclasses import dataclass, field
from typing import Any

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
    dump_record,
)


def asked(*contents: str, system: str = "") -> Prompt:
    """User and assistant in turn."""
    roles = ["user", "assistant"]
    turns = [Message(role=roles[n % 2], content=content) for n, content in enumerate(contents)]
    return Prompt(messages=tuple([Message(role="system", content=system)] * bool(system) + turns))


def pair(prompt: Prompt, chosen: str, rejected: str, **more: Any) -> Pair:
    return Pair(prompt=prompt, chosen=Completion(text=chosen), rejected=Completion(text=rejected), **more)


def demonstration(prompt: Prompt, text: str) -> Demonstration:
    return Demonstration(prompt=prompt, completion=Completion(text=text))


def unpaired(prompt: Prompt, text: str, label: bool) -> Unpaired:
    return Unpaired(prompt=prompt, completion=Completion(text=text), label=label)


def ranking(prompt: Prompt, answers: dict[str, int], **more: Any) -> Ranking:
    return Ranking(prompt=prompt, completions=sourced(*answers), ranks=tuple(answers.values()), **more)


def sourced(*texts: str) -> tuple[Completion, ...]:
    """Answers from "text@source"."""
    return tuple(Completion(text=text.partition("@")[0], source=text.partition("@")[2]) for text in texts)


def judged(prompt: Prompt, chosen: str, rejected: str, **more: Any) -> Pair:
    """A pair of "text@source"."""
    better, worse = sourced(chosen, rejected)
    return Pair(prompt=prompt, chosen=better, rejected=worse, **more)


@dataclass
class Case:
    format: str
    rows: list[dict[str, Any]]
    records: list[AnyRecord]
    bad: dict[str, Any] = field(default_factory=dict)
    """A row that is no record."""
    reason: str = ""
    note: str = ""
    """What the import says of the good rows."""


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


NATIVE = pair(
    Prompt(messages=asked("Q").messages, tags={"topic": "x"}),
    "A",
    "B",
    tags={"annotator": "ann", "flipped": True},
    split="heldout",
    margin=0.5,
)

POST = "SUBREDDIT: r/advice\n\nTITLE: Help\n\nPOST: Long story.\n\nTL;DR:"


def _verdict(who: str, ranks: dict[str, int], status: str = "submitted") -> dict[str, Any]:
    return {"user_id": who, "value": [{"rank": rank, "value": name} for name, rank in ranks.items()], "status": status}


def _annotation(who: int, type: str, value: dict[str, Any], *, cancelled: bool = False) -> dict[str, Any]:
    return {"completed_by": who, "was_cancelled": cancelled, "result": [{"type": type, "value": value}]}


def _parts(text: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text}]


def _reply(text: str, role: str, rank: int | None, replies: list[Any]) -> dict[str, Any]:
    return {"text": text, "role": role, "rank": rank, "replies": replies}


CASES = [
    Case("lab", [json.loads(dump_record(NATIVE))], [NATIVE]),
    Case(
        "HH-RLHF",
        [
            {
                "chosen": "\n\nHuman: Hi\n\nAssistant: Hello!",
                "rejected": "\n\nHuman: Hi\n\nAssistant: Go away",
            },
            {
                "chosen": "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\nd\n\nAssistant: Assured",
                "rejected": "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\nd\n\nAssistant: Assumed",
            },
        ],
        [pair(asked("Hi"), "Hello!", "Go away"), pair(asked("a", "b", "c\nd"), "Assured", "Assumed")],
    ),
    Case(
        "TRL",
        [{"prompt": "The sky is", "chosen": " blue.", "rejected": " green."}],
        [pair(asked("The sky is"), " blue.", " green.")],
    ),
    Case(
        "TRL, implicit prompt",
        [{"chosen": "The sky is blue.", "rejected": "The sky is green."}],
        [pair(asked("The sky is"), " blue.", " green.")],
    ),
    Case(
        "TRL, conversational",
        [{"prompt": [user("Sky?")], "chosen": [assistant("Blue.")], "rejected": [assistant("Green.")]}],
        [pair(asked("Sky?"), "Blue.", "Green.")],
    ),
    Case(
        "TRL, conversational",
        [
            {
                "prompt": [{"role": "system", "content": "Be brief."}, user("Sky?")],
                "chosen": [{"role": "system", "content": "Be brief."}, user("Sky?"), assistant("Blue.")],
                "rejected": [{"role": "system", "content": "Be brief."}, user("Sky?"), assistant("Green.")],
            }
        ],
        [pair(asked("Sky?", system="Be brief."), "Blue.", "Green.")],
    ),
    Case(
        "TRL, conversational, implicit prompt",
        [{"chosen": [user("Sky?"), assistant("Blue.")], "rejected": [user("Sky?"), assistant("Green.")]}],
        [pair(asked("Sky?"), "Blue.", "Green.")],
    ),
    Case(
        "UltraFeedback, binarised",
        [
            {
                "prompt": "Sky?",
                "prompt_id": "ab12",
                "chosen": [user("Sky?"), assistant("Blue.")],
                "rejected": [user("Sky?"), assistant("Green.")],
                "messages": [user("Sky?"), assistant("Blue.")],
                "score_chosen": scores[0],
                "score_rejected": scores[1],
            }
            for scores in [(8.5, 4.0)]
        ],
        [pair(asked("Sky?"), "Blue.", "Green.", margin=4.5)],
    ),
    Case(
        "Alpaca ranking",
        [{"instruction": "Q", "input": "", "chosen": "good", "rejected": "bad"}],
        [pair(asked("Q"), "good", "bad")],
    ),
    Case(
        "ShareGPT ranking",
        [
            {
                "conversations": [
                    {"from": "system", "value": "S"},
                    {"from": "human", "value": "Q"},
                    {"from": "gpt", "value": "A"},
                    {"from": "human", "value": "R"},
                ],
                "chosen": {"from": "gpt", "value": "good"},
                "rejected": {"from": "gpt", "value": "bad"},
            }
        ],
        [pair(asked("Q", "A", "R", system="S"), "good", "bad")],
    ),
    Case(
        "two answers and a verdict",
        [
            {"question": "Q1", "response_a": "x", "response_b": "y", "preference": "A"},
            {"question": "Q2", "response_a": "x", "response_b": "y", "preference": "response_b"},
            {"question": "Q3", "response_a": "x", "response_b": "y", "preference": "tie"},
        ],
        [pair(asked("Q1"), "x", "y"), pair(asked("Q2"), "y", "x"), pair(asked("Q3"), "x", "y", tie=True)],
    ),
    Case(
        "two answers and a verdict, 1 or 2",
        [
            {"prompt": "Q1", "answer_a": "x", "answer_b": "y", "winner": 1},
            {"prompt": "Q2", "answer_a": "x", "answer_b": "y", "winner": 2},
        ],
        [pair(asked("Q1"), "x", "y"), pair(asked("Q2"), "y", "x")],
    ),
    Case(
        "two answers and a verdict, 0 or 1",
        [
            {"instruction": "Q1", "response_a": "x", "response_b": "y", "label": 1},
            {"instruction": "Q2", "response_a": "x", "response_b": "y", "label": 0},
        ],
        [pair(asked("Q1"), "y", "x"), pair(asked("Q2"), "x", "y")],
    ),
    Case(
        "Alpaca",
        [
            {"instruction": "Add", "input": "2+2", "output": "4", "system": "", "history": [["q", "a"]]},
            {"instruction": "Say", "input": "", "output": "B", "system": "S", "history": []},
        ],
        [demonstration(asked("q", "a", "Add\n2+2"), "4"), demonstration(asked("Say", system="S"), "B")],
    ),
    Case(
        "ShareGPT",
        [
            {
                "conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}],
                "system": "S",
            }
        ],
        [demonstration(asked("Q", system="S"), "A")],
    ),
    Case("messages", [{"messages": [user("Q"), assistant("A")]}], [demonstration(asked("Q"), "A")]),
    Case(
        "messages",
        [{"messages": [{"role": "user", "content": _parts("Q")}, {"role": "assistant", "content": _parts("A")}]}],
        [demonstration(asked("Q"), "A")],
        bad={"messages": [{"role": "user", "content": _parts("Q")}, {"role": "assistant", "content": _parts("")}]},
        reason="is empty",
    ),
    Case("prompt and completion", [{"prompt": "Q", "completion": "A"}], [demonstration(asked("Q"), "A")]),
    Case(
        "prompt and completion",
        [{"prompt": [user("Q")], "completion": [assistant("A")]}],
        [demonstration(asked("Q"), "A")],
    ),
    Case("prompts", [{"prompt": "Q", "id": 1}], [PromptOnly(prompt=asked("Q"))]),
    Case(
        "KTO",
        [{"prompt": "Q", "completion": "A", "label": True}, {"prompt": "Q", "completion": "B", "label": False}],
        [unpaired(asked("Q"), "A", True), unpaired(asked("Q"), "B", False)],
    ),
    Case(
        "KTO, messages",
        [{"messages": [user("Q"), assistant("A")], "label": True}],
        [unpaired(asked("Q"), "A", True)],
    ),
    Case(
        "KTO, conversations",
        [{"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}], "kto_tag": False}],
        [unpaired(asked("Q"), "A", False)],
    ),
    Case(
        "UltraFeedback, raw",
        [
            {
                "source": "evol",
                "instruction": "Q",
                "models": ["m1", "m2", "m3", "m4"],
                "completions": [
                    {
                        "model": f"m{n}",
                        "response": text,
                        "overall_score": score,
                        "annotations": {
                            "helpfulness": {"Rating": helpful, "Rationale": "r"},
                            "honesty": {"Rating": "2", "Rationale": "r"},
                        },
                    }
                    for n, text, score, helpful in [
                        (1, "a", 8.5, "4"),
                        (2, "b", 3.0, "5"),
                        (3, "c", 8.5, "1"),
                        (4, " ", 1.0, "1"),
                    ]
                ],
            }
        ],
        [
            Rated(
                prompt=asked("Q"),
                completions=sourced("a@m1", "b@m2", "c@m3"),
                ratings=(8.5, 3, 8.5),
                tags={"rating": "overall_score", "source": "evol"},
            )
        ],
        bad={
            "source": "evol",
            "instruction": "R",
            "models": ["m1"],
            "completions": [
                {
                    "model": "m1",
                    "response": "a",
                    "overall_score": 1.0,
                    "annotations": {
                        "helpfulness": {"Rating": "N/A", "Rationale": "r"},
                        "honesty": {"Rating": "2", "Rationale": "r"},
                    },
                }
            ],
        },
        reason="found 1 different answers",
        note="Left out: 1 empty answers.",
    ),
    Case(
        "OpenAI comparisons",
        [
            {
                "info": {"id": "t3_x", "post": "Long story.", "title": "Help", "subreddit": "advice"},
                "summaries": [{"text": " A", "policy": "sup1"}, {"text": " B", "policy": "ref"}],
                "choice": choice,
                "worker": worker,
                "extra": {"confidence": 7},
            }
            for choice, worker in [(0, "w1"), (1, "w2")]
        ],
        [
            judged(asked(POST), "A@sup1", "B@ref", tags={"annotator": "w1", "confidence": 7.0}),
            judged(asked(POST), "B@ref", "A@sup1", tags={"annotator": "w2", "confidence": 7.0}),
        ],
        bad={
            "info": {"id": "t3_y", "post": "P", "title": "T", "subreddit": "s"},
            "summaries": [{"text": "A", "policy": "p"}, {"text": "B", "policy": "p"}],
            "choice": 2,
            "worker": "w",
            "extra": {"confidence": 1},
        },
        reason="the place of the better summary",
    ),
    Case(
        "OpenAI axis ratings",
        [
            {
                "info": {"id": post, "post": "Long story.", "title": "Help", "subreddit": "advice"},
                "summary": {"text": text, "policy": "p", "axes": {"accuracy": 7, "overall": overall}},
                "worker": "w1",
            }
            for post, text, overall in [("1", "A", 6), ("1", "B", 2)]
        ],
        [Rated(prompt=asked(POST), completions=sourced("A@p", "B@p"), ratings=(6, 2), tags={"annotator": "w1"})],
        bad={
            "info": {"id": "2", "post": "P", "title": "T", "subreddit": "s"},
            "summary": {"text": "A", "policy": "p", "axes": {"accuracy": 7, "overall": 1}},
            "worker": "w1",
        },
        reason="found 1 rated summary of this post",
    ),
    Case(
        "SHP",
        [
            {"history": f"Q{n}?", "human_ref_A": "x", "human_ref_B": "y", "labels": label, "score_A": a, "score_B": b}
            for n, label, a, b in [(1, 1, 52, 10), (2, 0, 3, 9)]
        ],
        [pair(asked("Q1?"), "x", "y", margin=42), pair(asked("Q2?"), "y", "x", margin=6)],
        bad={"history": "Q3?", "human_ref_A": "x", "human_ref_B": "y", "labels": 1, "score_A": 1, "score_B": 5},
        reason="scores lower",
    ),
    Case(
        "Nectar",
        [
            {
                "prompt": "\n\nHuman: Q\n\nAssistant: A\n\nHuman: R\n\nAssistant: ",
                "answers": [
                    {"answer": "c", "model": "m3", "rank": 4.0},
                    {"answer": "a", "model": "gpt-4", "rank": 1.0},
                    {"answer": "b", "model": "m2", "rank": 2.0},
                    {"answer": "d", "model": "m4", "rank": 2.0},
                ],
            }
        ],
        [ranking(asked("Q", "A", "R"), {"c@m3": 4, "a@gpt-4": 1, "b@m2": 2, "d@m4": 2})],
        bad={"prompt": "\n\nHuman: Q\n\nAssistant: ", "answers": [{"answer": "c", "model": "m", "rank": 1.0}]},
        reason="found 1 different answers",
        note="Records with ties (equally good answers): 1.",
    ),
    Case(
        "Arena conversations",
        [
            {
                "model_a": "m1",
                "model_b": "m2",
                "winner": winner,
                "judge": f"u{n}",
                "conversation_a": [user("Q"), assistant("x")],
                "conversation_b": [user("Q"), assistant("y")],
            }
            for n, winner in enumerate(["model_b", "tie", "tie (bothbad)"])
        ],
        [
            judged(asked("Q"), "y@m2", "x@m1", tags={"annotator": "u0"}),
            judged(asked("Q"), "x@m1", "y@m2", tie=True, tags={"annotator": "u1"}),
            judged(asked("Q"), "x@m1", "y@m2", tie=True, tags={"annotator": "u2", "both_bad": True}),
        ],
        bad={
            "model_a": "m1",
            "model_b": "m2",
            "winner": "model_a",
            "judge": "u",
            "conversation_a": [user("Q"), assistant("x"), user("R"), assistant("z")],
            "conversation_b": [user("Q"), assistant("y"), user("R"), assistant("z")],
        },
        reason="the two models answered several questions",
        note="Records with ties (equally good answers): 2.",
    ),
    Case(
        "Arena table",
        [
            {
                "model_a": "m1",
                "model_b": "m2",
                "prompt": json.dumps([f"Q{n}"]),
                "response_a": '["x"]',
                "response_b": '["y"]',
                "winner_model_a": int(n == 1),
                "winner_model_b": int(n == 2),
                "winner_tie": int(n == 3),
            }
            for n in (1, 2, 3)
        ],
        [
            judged(asked("Q1"), "x@m1", "y@m2"),
            judged(asked("Q2"), "y@m2", "x@m1"),
            judged(asked("Q3"), "x@m1", "y@m2", tie=True),
        ],
        bad={
            "model_a": "m1",
            "model_b": "m2",
            "prompt": '["Q", "R"]',
            "response_a": '["x", "y"]',
            "response_b": '["x", "z"]',
            "winner_model_a": 1,
            "winner_model_b": 0,
            "winner_tie": 0,
        },
        reason="the two models answered several questions",
        note="Records with ties (equally good answers): 1.",
    ),
    Case(
        "AlpacaEval",
        [
            {
                "instruction": f"Q{n}",
                "output_1": "x",
                "output_2": "y",
                "preference": preference,
                "generator_1": "m1",
                "generator_2": "m2",
            }
            for n, preference in enumerate([1.78, 1.0, 1.5])
        ],
        [
            judged(asked("Q0"), "y@m2", "x@m1", tags={"preference": 1.78}),
            judged(asked("Q1"), "x@m1", "y@m2", tags={"preference": 1.0}),
            judged(asked("Q2"), "x@m1", "y@m2", tie=True, tags={"preference": 1.5}),
        ],
        bad={
            "instruction": "Q",
            "output_1": "x",
            "output_2": "y",
            "preference": 0.25,
            "generator_1": "m1",
            "generator_2": "m2",
        },
        reason="preference: found 0.25, expected 1",
        note="Records with ties (equally good answers): 1.",
    ),
    Case(
        "Argilla",
        [
            {
                "prompt": "Q",
                "response1": "x",
                "response2": "y",
                "preference": [
                    _verdict("u1", {"response2": 1, "response1": 2}),
                    _verdict("u2", {"response1": 1, "response2": 1}),
                    _verdict("u3", {"response1": 1, "response2": 2}, "discarded"),
                ],
            }
        ],
        [
            judged(asked("Q"), "y@response2", "x@response1", tags={"annotator": "u1"}),
            judged(asked("Q"), "x@response1", "y@response2", tie=True, tags={"annotator": "u2"}),
        ],
        bad={
            "prompt": "R",
            "response1": "x",
            "response2": "y",
            "preference": [_verdict("u1", {"response7": 1, "response1": 2})],
        },
        reason="preference: value: found 'response7'",
        note="Records with ties (equally good answers): 1. Left out: 1 verdicts that were not submitted.",
    ),
    Case(
        "Argilla",
        [
            {
                "prompt": "Q",
                "response1": "x",
                "response2": "y",
                "response3": "z",
                "preference": [_verdict("u1", {"response3": 1, "response1": 2, "response2": 2})],
            }
        ],
        [ranking(asked("Q"), {"z@response3": 1, "x@response1": 2, "y@response2": 2}, tags={"annotator": "u1"})],
        bad={
            "prompt": "R",
            "response1": "x",
            "response2": "y",
            "response3": "z",
            "preference": [_verdict("u1", {"response1": 1, "response2": 2}, "draft")],
        },
        reason="found no verdict that was submitted",
        note="Records with ties (equally good answers): 1.",
    ),
    Case(
        "Label Studio, pairwise",
        [
            {
                "id": 1,
                "data": {"prompt": "Q", "answer1": "x", "answer2": "y"},
                "annotations": [
                    _annotation(1, "pairwise", {"selected": "left"}),
                    _annotation(2, "pairwise", {"selected": "right"}),
                    _annotation(3, "pairwise", {"selected": "left"}, cancelled=True),
                ],
            }
        ],
        [pair(asked("Q"), "x", "y", tags={"annotator": "1"}), pair(asked("Q"), "y", "x", tags={"annotator": "2"})],
        bad={
            "id": 2,
            "data": {"prompt": "R", "answer1": "x", "answer2": "y"},
            "annotations": [_annotation(1, "pairwise", {"selected": "both"})],
        },
        reason="selected: found 'both', expected left or right",
        note="Left out: 1 verdicts that were cancelled.",
    ),
    Case(
        "Label Studio, ranker",
        [
            {
                "id": 1,
                "data": {
                    "prompt": "Q",
                    "items": [{"id": "id1", "title": "1", "body": "x"}, {"id": "id2", "title": "2", "body": "y"}],
                },
                "annotations": [_annotation(5, "ranker", {"ranker": {"bucket": ["id2", "id1"]}})],
            }
        ],
        [ranking(asked("Q"), {"y": 1, "x": 2}, tags={"annotator": "5"})],
        bad={
            "id": 2,
            "data": {"prompt": "R", "items": [{"id": "id1", "title": "1", "body": "x"}]},
            "annotations": [_annotation(5, "ranker", {"ranker": {"bucket": ["id2", "id1"]}})],
        },
        reason="ids of the task's items (id1)",
    ),
    Case(
        "OpenAssistant tree",
        [
            {
                "message_tree_id": "t",
                "prompt": {
                    "text": "Q",
                    "role": "prompter",
                    "lang": "en",
                    "replies": [
                        _reply(
                            "A",
                            "assistant",
                            1,
                            [
                                _reply(
                                    "R",
                                    "prompter",
                                    None,
                                    [_reply("C", "assistant", 1, []), _reply("D", "assistant", 0, [])],
                                )
                            ],
                        ),
                        _reply("B", "assistant", 0, []),
                        _reply("E", "assistant", None, []),
                    ],
                },
            }
        ],
        [
            ranking(asked("Q"), {"A@human": 2, "B@human": 1}, tags={"tree": "t", "language": "en"}),
            ranking(asked("Q", "A", "R"), {"C@human": 2, "D@human": 1}, tags={"tree": "t", "language": "en"}),
        ],
        bad={
            "message_tree_id": "u",
            "prompt": {"text": "Q", "role": "prompter", "lang": "en", "replies": [_reply("A", "assistant", 0, [])]},
        },
        reason="found no message with two ranked answers",
        note="Left out: 1 answers of OpenAssistant that nobody ranked against another.",
    ),
    Case(
        "answers to rank",
        [{"prompt": "Q", "completions": ["x", "y", "z"]}],
        [Candidates(prompt=asked("Q"), completions=sourced("x", "y", "z"))],
        bad={"prompt": "R", "completions": ["x", "x"]},
        reason="found 1 different answers",
    ),
    Case(
        "two answers to rank",
        [{"question": "Q", "response_a": "x", "response_b": "y"}],
        [Candidates(prompt=asked("Q"), completions=sourced("x", "y"))],
        bad={"question": "R", "response_a": "x", "response_b": ""},
        reason="found 1 different answers",
    ),
]

_EMPTY: dict[str, dict[str, Any]] = {
    "Alpaca": {"instruction": "Add", "input": "2+2", "output": " ", "system": "", "history": []},
    "ShareGPT": {
        "conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": ""}],
        "system": "S",
    },
    "messages": {"messages": [user("Q"), assistant(" ")]},
    "prompts": {"prompt": " ", "id": 2},
}
for _case in CASES:
    if not _case.bad and isinstance(_case.records[0], Pair | Unpaired):
        _case.bad, _case.reason = _case.rows[0], "again"
    elif not _case.bad:
        as_text = isinstance(_case.rows[0].get("completion"), str)
        empty = {"prompt": "Q", "completion": ""} if as_text else {"prompt": [user("Q")], "completion": [assistant("")]}
        _case.bad, _case.reason = _EMPTY.get(_case.format, empty), "is empty"
