from collections.abc import Callable

import pytest
import torch

from rlhf_lab.core.control import StopRequested
from rlhf_lab.engine import sampler
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.batches import pad
from rlhf_lab.engine.sampler import draw, noise_for, sample
from tests.engine.conftest import on_apple, perturb

PROMPTS = [[5, 20, 33], [9, 100, 12, 44, 61, 70], [7], [3, 90, 30]]


def answers(backbone: Backbone, prompts: list[list[int]], seed: int = 0, **options: object) -> list[list[int]]:
    settings = {
        "adapter": None,
        "temperature": 1.0,
        "max_new_tokens": 24,
        "noise": noise_for(torch.Generator().manual_seed(seed), int(options.get("max_new_tokens", 24)), len(prompts)),  # type: ignore[call-overload]
        "tick": lambda: None,
    }
    return sample(backbone, prompts, **{**settings, **options})  # type: ignore[arg-type]


def reads(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> list[torch.Size]:
    """Rows and tokens of each pass to come."""
    seen: list[torch.Size] = []
    decode = backbone.decode

    def heard(ids: torch.Tensor, *rest: object) -> torch.Tensor:
        seen.append(ids.shape)
        return decode(ids, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(backbone, "decode", heard)
    return seen


def test_greedy_is_the_argmax_of_whole_forwards(backbone: Backbone) -> None:
    backbone.add_adapter("policy", r=4, alpha=8, seed=0)
    perturb(backbone, "policy")
    found = answers(backbone, PROMPTS, adapter="policy", temperature=0)
    for asked, answer in zip(PROMPTS, found, strict=True):
        row = list(asked)
        for token in answer:
            ids, mask = pad([row], backbone.pad_id)
            assert backbone.logits(backbone.hidden(ids, mask, "policy"))[0, -1].argmax() == token
            row.append(token)


def test_the_same_seed_samples_the_same(backbone: Backbone) -> None:
    assert answers(backbone, PROMPTS) == answers(backbone, PROMPTS)
    assert answers(backbone, PROMPTS) != answers(backbone, PROMPTS, seed=1)


def test_answers_stop_at_eos_which_is_kept_and_at_the_limit(backbone: Backbone) -> None:
    eos = backbone.tokenizer.eos_token_id
    found = [a for seed in range(6) for a in answers(backbone, PROMPTS, seed=seed, max_new_tokens=40, temperature=3.0)]
    assert all(eos not in a[:-1] for a in found)
    assert all(len(a) == 40 or a[-1] == eos for a in found)
    assert len({len(a) for a in found}) > 1


def test_an_answer_does_not_depend_on_when_its_neighbours_end(backbone: Backbone) -> None:
    both = answers(backbone, PROMPTS, temperature=3.0)
    eos = backbone.tokenizer.eos_token_id
    # The first row again, beside rows that end elsewhere: its stream of random numbers is its own.
    changed = answers(backbone, [PROMPTS[0], [4], [4, 4], [250, 4]], temperature=3.0)
    assert changed[0] == both[0]
    assert eos is not None


def test_a_prompt_that_is_asked_several_times_is_read_once_and_answered_each_time(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    often = [PROMPTS[0], PROMPTS[1], PROMPTS[0], PROMPTS[0], PROMPTS[1], PROMPTS[2]]
    read = reads(backbone, monkeypatch)
    found = answers(backbone, often, temperature=2.0, max_new_tokens=40)
    assert read[:2] == [(3, 6), (6, 1)]
    assert len({tuple(answer) for answer in found}) == len(often)
    # Row by row what the same row draws among prompts that are all different.
    for place, prompt in enumerate(often):
        others: list[list[int]] = [[10 + i, 4] for i in range(len(often))]
        others[place] = prompt
        assert answers(backbone, others, temperature=2.0, max_new_tokens=40)[place] == found[place]


def test_prompts_read_some_at_a_time_are_answered_as_if_read_together(
    load: Callable[[], Backbone], monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = load()
    together = answers(backbone, PROMPTS, temperature=2.0, max_new_tokens=40)
    monkeypatch.setattr("rlhf_lab.engine.backbone.READ_AT_ONCE", 1)
    assert backbone.tokens_read_at_once == 1
    read = reads(backbone, monkeypatch)
    assert answers(backbone, PROMPTS, temperature=2.0, max_new_tokens=40) == together
    assert read[:5] == [(1, 6)] * 4 + [(4, 1)]
    often = [PROMPTS[0], PROMPTS[0], PROMPTS[2]]
    assert answers(backbone, often, temperature=2.0)[2] == answers(backbone, [[4], [9], PROMPTS[2]], temperature=2.0)[2]


def test_an_answer_is_the_same_however_many_are_sampled_at_a_time(backbone: Backbone) -> None:
    noise = noise_for(torch.Generator().manual_seed(3), 24, len(PROMPTS))
    together = answers(backbone, PROMPTS, temperature=2.0, noise=noise)
    apart = [answers(backbone, [p], temperature=2.0, noise=noise[:, [i]])[0] for i, p in enumerate(PROMPTS)]
    assert apart == together


def test_rows_drawn_some_at_a_time_are_those_drawn_together(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = torch.randn(50, 100, generator=torch.Generator().manual_seed(0))
    noise = torch.rand(50, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    together = draw(logits, 0.8, noise)
    monkeypatch.setattr(sampler, "DRAWN_AT_ONCE", 700)
    softmax, seen = torch.softmax, []
    monkeypatch.setattr(torch, "softmax", lambda x, dim: seen.append(len(x)) or softmax(x, dim))
    assert torch.equal(draw(logits, 0.8, noise), together)
    assert seen == [7] * 7 + [1]


def test_frequencies_are_those_of_the_softmax() -> None:
    logits = torch.tensor([[0.0, 1.0, -30.0, 2.0]])
    noise = torch.linspace(0, 1, 20_001, dtype=torch.float64)[:-1]
    for temperature in (0.7, 1.0, 2.0):
        drawn = draw(logits.expand(len(noise), -1), temperature, noise)
        share = torch.bincount(drawn, minlength=4) / len(noise)
        assert torch.allclose(share, torch.softmax(logits[0] / temperature, -1), atol=2e-4)


def test_where_there_is_no_float64_the_same_ids_are_drawn() -> None:
    logits = torch.randn(50, 1000, generator=torch.Generator().manual_seed(0))
    noise = torch.rand(50, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with pytest.raises(TypeError, match="float64"):
        on_apple(logits).double()
    assert torch.equal(draw(on_apple(logits), 0.8, noise), draw(logits, 0.8, noise))


def test_ids_of_no_probability_are_never_drawn() -> None:
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf]]).expand(3, -1)
    assert draw(logits, 1.0, torch.tensor([0.0, 0.5, 1 - 2**-53], dtype=torch.float64)).tolist() == [1, 3, 3]


def test_a_stop_text_ends_the_answer(backbone: Backbone) -> None:
    free = answers(backbone, PROMPTS)[0]
    texts = [backbone.tokenizer.decode([token]) for token in free]
    stop = next(text for text in texts[2:] if text.isascii() and text.strip() and text not in texts[:2])
    found = answers(backbone, PROMPTS, stop=stop)[0]
    assert found == free[: texts.index(stop) + 1]
    assert stop in backbone.tokenizer.decode(found)


def test_every_token_is_heard_and_a_stop_request_comes_through(backbone: Backbone) -> None:
    heard: dict[int, list[int]] = {i: [] for i in range(len(PROMPTS))}
    found = answers(backbone, PROMPTS, on_token=lambda row, token: heard[row].append(token))
    assert list(heard.values()) == found
    ticks = iter(range(3))

    def tick() -> None:
        if next(ticks) == 2:
            raise StopRequested

    backbone.add_adapter("policy", r=4, alpha=8, seed=0)
    with pytest.raises(StopRequested):
        answers(backbone, PROMPTS, adapter="policy", tick=tick)
    assert answers(backbone, PROMPTS) == found
