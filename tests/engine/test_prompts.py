from rlhf_lab.core.records import Completion, Message, Pair, Prompt, PromptOnly
from rlhf_lab.engine.prompts import Asked, unique_prompts
from tests.engine.conftest import prompt


def test_each_question_once_and_held_out_ones_are_never_trained_on() -> None:
    def asked(text: str, split: str = "train") -> PromptOnly:
        return PromptOnly(prompt=prompt(text), split=split)  # type: ignore[arg-type]

    tagged = Prompt(messages=prompt("a").messages, tags={"world": "knowledge"})
    records = [
        asked("h", "heldout"),
        asked("both", "heldout"),
        asked("a"),
        PromptOnly(prompt=tagged),
        asked("h", "heldout"),
        asked("both"),
        Pair(prompt=prompt("b"), chosen=Completion(text="x"), rejected=Completion(text="y")),
        asked("a"),
    ]
    train, heldout = unique_prompts(records)
    assert [train[i].text for i in range(len(train))] == ["a", "both", "b"]
    assert [heldout[i].text for i in range(len(heldout))] == ["h"]


def test_who_says_it_and_where_a_turn_ends_make_another_question() -> None:
    one = Prompt(messages=(Message(role="user", content="a b"),))
    two = Prompt(messages=(Message(role="user", content="a"), Message(role="user", content=" b")))
    three = Prompt(messages=(Message(role="system", content="a b"),))
    train, heldout = unique_prompts([PromptOnly(prompt=p) for p in (one, two, three)])
    assert len(train) == 3
    assert not heldout


def test_a_few_are_taken_from_all_over() -> None:
    asked = Asked([prompt(str(i)) for i in range(10)], [[i] for i in range(10)])
    few = asked.spread(4)
    assert [p.text for p in few.prompts] == ["0", "2", "5", "7"]
    assert list(few.ids) == [[0], [2], [5], [7]]
    assert len(asked.spread(99)) == 10
    assert len(asked.part(0, 0).spread(4)) == 0
