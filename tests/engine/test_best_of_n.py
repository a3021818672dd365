"""Best of n: estimates against all subsets, the bounds, the run as a whole, resume, a planted NaN."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch

from rlhf_lab.core.config import BestOfNConfig
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import Checkpointed, Metrics, Progress, Resumed, Samples
from rlhf_lab.engine import best_of_n
from rlhf_lab.engine.parts import Parts
from rlhf_lab.engine.scoring import Episodes
from tests.engine.conftest import ON_POLICY, demonstrations
from tests.engine.stage_runs import Counter, StopAfterTicks, curves, last, metric, of, run

SCORES = torch.tensor([[0.3, 2.0, -1.0, 0.9, 0.5, 1.4], [7.0, 1.0, 1.0, 3.0, 7.0, 2.0]], dtype=torch.float64)
"""Two prompts, six answers to each; the second prompt's has equal ones."""
GOLD = torch.tensor([[1.0, 5.0, 2.0, 4.0, 8.0, 0.0], [3.0, 1.0, 9.0, 2.0, 6.0, 4.0]], dtype=torch.float64)
SETTINGS = {key: value for key, value in ON_POLICY.items() if key in BestOfNConfig.model_fields}


def config(**changes: object) -> BestOfNConfig:
    return BestOfNConfig(**(SETTINGS | {"batch_size": 4, "samples": 5, "checkpoint_every": 0} | changes))


def judged(asked: object, text: str) -> dict[str, float]:
    return {"gold": float(len(text)), **({"odd": 1.0} if len(text) % 2 else {})}


@pytest.mark.parametrize("n", range(1, 7))
def test_weights_are_the_mean_over_all_subsets(n: int):
    weights = best_of_n.best_weights(SCORES, n)
    torch.testing.assert_close(weights.sum(1), torch.ones(2, dtype=torch.float64))
    for row in range(2):
        subsets = list(itertools.combinations(range(6), n))
        # Of equal scores the later answer counts as the better one, whatever the judge says of it.
        best = [max(subset, key=lambda i: (SCORES[row, i].item(), i)) for subset in subsets]
        for values in (SCORES[row], GOLD[row]):
            expected = sum(values[i].item() for i in best) / len(subsets)
            assert (weights[row] * values).sum().item() == pytest.approx(expected)


@pytest.mark.parametrize("n", range(1, 6))
def test_the_win_rate_is_that_over_all_subsets_and_opponents(n: int):
    wins = []
    for row, other in itertools.product(range(2), range(6)):
        rest = [i for i in range(6) if i != other]
        for subset in itertools.combinations(rest, n):
            ahead = max(SCORES[row, i].item() for i in subset) - SCORES[row, other].item()
            wins.append(1.0 if ahead > 0 else 0.5 if ahead == 0 else 0.0)
    found = best_of_n.win_rate(SCORES, n)
    assert found == pytest.approx(sum(wins) / len(wins))
    # Without equal scores it is n/(n+1); they take from it.
    assert best_of_n.win_rate(SCORES[:1], n) == pytest.approx(n / (n + 1))
    assert found <= n / (n + 1) + 1e-12
    assert best_of_n.win_rate(torch.ones(3, 6, dtype=torch.float64), n) == pytest.approx(0.5)


def test_the_kl_bound_holds_where_the_kl_is_known():
    """Of four answers with distinct scores, best of n has P(rank ≤ j) = F(j)^n; the bound is near for many answers."""
    for count in (4, 1000):
        start = torch.full((count,), 1 / count, dtype=torch.float64)
        for n in (1, 2, 4, 16):
            upto = start.cumsum(0) ** n
            best = torch.cat([upto[:1], upto.diff()])
            kl = (best * (best / start).clamp(min=1e-300).log()).sum().item()
            assert kl <= best_of_n.kl_bound(n) + 1e-9
            if count == 1000:
                assert kl == pytest.approx(best_of_n.kl_bound(n), abs=0.01)


def test_sizes_double_up_to_all():
    assert best_of_n.sizes(16) == [1, 2, 4, 8, 16]
    assert best_of_n.sizes(12) == [1, 2, 4, 8, 12]
    assert best_of_n.sizes(2) == [1, 2]
    assert sum(best_of_n.best_weights(torch.rand(1, 1024), 512)[0].tolist()) == pytest.approx(1)


def test_a_run_says_what_the_best_of_its_answers_is_like(given: Callable[..., Parts]):
    events = run(config(), given(judge=judged))
    assert [e.kind for e in events[:3]] == ["phase", "started", "progress"]
    assert last(events).outcome == "done"
    assert [(e.done, e.total) for e in of(events, Progress)] == [(0, 2), (1, 2), (2, 2)]
    assert [e.step for e in of(events, Metrics)] == [1, 2, 4, 5]
    assert metric(events, "eval/kl") == metric(events, "bon/kl_bound") == [best_of_n.kl_bound(n) for n in (1, 2, 4, 5)]
    assert metric(events, "eval/score") == sorted(metric(events, "eval/score"))
    assert metric(events, "bon/win_rate") == pytest.approx([n / (n + 1) for n in (1, 2, 4)])
    (shown,) = of(events, Samples)
    assert (shown.name, shown.step, len(shown.rows)) == ("heldout", 5, 6)
    # For n = N the estimate is the mean of what is shown.
    final = list(of(events, Metrics))[-1].values
    for name, key in (("eval/score", "score"), ("eval/length", "tokens"), ("eval/gold", "gold")):
        assert final[name] == pytest.approx(sum(row.values[key] for row in shown.rows) / 6, abs=1e-6)
    assert final["eval/odd"] == 1.0
    assert not (given().folder / "adapter").exists()


def test_stopped_and_resumed_is_uninterrupted(given: Callable[..., Parts]):
    counter = Counter()
    whole = list(best_of_n.train(config(), given("whole", control=counter, judge=judged)))
    for part, done in ((0.3, 0), (0.8, 1)):
        name = f"broken-{done}"
        first = run(config(), given(name, control=StopAfterTicks(int(part * counter.ticks)), judge=judged))
        assert (last(first).outcome, last(first).step) == ("stopped", done)
        assert not list(of(first, Metrics))
        again = run(config(), given(name, resume=True, judge=judged))
        assert len(list(of(again, Resumed))) == (1 if done else 0)
        assert curves(first, again) == curves(whole)
        assert [e.rows for e in of(again, Samples)] == [e.rows for e in of(whole, Samples)]
    finished = run(config(), given("whole", resume=True, judge=judged))
    assert curves(whole, finished) == curves(whole)
    assert [e.path for e in of(whole, Checkpointed)] == ["checkpoints/step-2"]


def test_nan_ends_the_run_in_words(given: Callable[..., Parts]):
    calls = []

    def breaks(episodes: Episodes, tick: Callable[[], None]) -> torch.Tensor:
        calls.append(1)
        return torch.tensor([math.nan if len(calls) == 7 else float(len(a)) for a in episodes.answer_ids])

    events = list(best_of_n.train(config(), given(), [breaks]))
    end = last(events)
    assert (end.outcome, end.step) == ("failed", 1)
    assert "batch 2" in end.message
    assert "scores" in end.message
    assert list(of(events, Checkpointed))[-1].path == "checkpoints/step-1"


def test_a_reward_that_fails_keeps_what_was_sampled(given: Callable[..., Parts]):
    calls = []

    def breaks(episodes: Episodes, tick: Callable[[], None]) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 7:
            raise LabError("my_reward.py, line 3: no such key.")
        return torch.tensor([float(len(a)) for a in episodes.answer_ids])

    events = list(best_of_n.train(config(), given(), [breaks]))
    assert (last(events).outcome, last(events).step) == ("failed", 1)
    assert last(events).message == ("my_reward.py, line 3: no such key. Whole batches of prompts before it are kept.")
    again = list(best_of_n.train(config(), given(resume=True), [breaks]))
    assert last(again).outcome == "done"
    assert len(calls) == 7 + 5


def test_what_cannot_work_is_refused_in_words(given: Callable[..., Parts]):
    with pytest.raises(LabError, match="needs something that scores"):
        run(config(), given(reward_adapter=None))
    trained_only = [r for r in demonstrations() if r.split == "train"]
    with pytest.raises(LabError, match="no held-out prompts"):
        run(config(), Parts(**{**vars(given()), "records": trained_only}))
