import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from rlhf_lab.core.config import RewardConfig
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import Diagnosis, Histogram, Resumed, Samples
from rlhf_lab.engine import reward, reward_look, reward_scores
from rlhf_lab.engine.adapters import read_lab
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.batches import pad
from rlhf_lab.engine.examples import Data, Encoder
from tests.engine.conftest import demonstrations, pairs, perturb
from tests.engine.stage_runs import StopAfterTicks, curves, last, metric, of, parts, run

CONFIG = RewardConfig(
    batch_size=6,
    micro_batch_size=4,
    max_steps=6,
    max_prompt_tokens=64,
    max_new_tokens=12,
    lora_r=4,
    lora_alpha=8,
    learning_rate=1e-2,
    eval_every=3,
    eval_size=8,
    checkpoint_every=2,
    device="cpu",
    threads=1,
)
NO = torch.zeros(1, dtype=torch.bool)
ZERO = torch.zeros(1)


def test_equal_scores_cost_ln_2() -> None:
    for tie in (False, True):
        loss = reward.bradley_terry(torch.tensor([1.7]), torch.tensor([1.7]), ZERO, torch.tensor([tie]))
        assert loss.item() == pytest.approx(math.log(2))


@given(st.floats(-20, 20), st.floats(-20, 20), st.floats(-50, 50))
def test_a_shift_of_all_scores_changes_nothing(chosen: float, rejected: float, shift: float) -> None:
    before = reward.bradley_terry(torch.tensor([chosen]), torch.tensor([rejected]), ZERO, NO)
    after = reward.bradley_terry(torch.tensor([chosen + shift]), torch.tensor([rejected + shift]), ZERO, NO)
    assert torch.allclose(before, after, atol=1e-4)


def test_two_items_end_at_the_logit_of_how_often_one_won() -> None:
    wins, losses, ties = 7, 2, 4
    score = torch.zeros(2, requires_grad=True)
    optimiser = torch.optim.LBFGS([score], max_iter=100, line_search_fn="strong_wolfe")
    first = torch.tensor([0] * wins + [1] * losses + [0] * ties)
    tie = torch.tensor([False] * (wins + losses) + [True] * ties)

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = reward.bradley_terry(score[first], score[1 - first], torch.zeros(len(first)), tie).sum()
        value.backward()
        return value

    optimiser.step(loss)
    share = (wins + ties / 2) / (wins + losses + ties)
    assert (score[0] - score[1]).item() == pytest.approx(math.log(share / (1 - share)), abs=1e-3)


def test_a_margin_asks_for_that_much_more() -> None:
    with_margin = reward.bradley_terry(torch.tensor([3.0]), torch.tensor([1.0]), torch.tensor([2.0]), NO)
    assert with_margin.item() == pytest.approx(math.log(2))


def test_accuracy_counts_ties_as_half() -> None:
    differences = torch.tensor([1.0, -1.0, 0.0, 5.0])
    assert reward.accuracy(differences, torch.zeros(4, dtype=torch.bool)) == pytest.approx(2.5 / 4)
    assert reward.accuracy(differences, torch.tensor([False, False, False, True])) == pytest.approx(2 / 4)


def test_centring_finds_the_zero_that_bradley_terry_leaves_free() -> None:
    score = torch.tensor([4.0, 6.0], requires_grad=True)
    optimiser = torch.optim.LBFGS([score], max_iter=100, line_search_fn="strong_wolfe")
    first = torch.tensor([0] * 7 + [1] * 3)

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        chosen, rejected = score[first], score[1 - first]
        no = torch.zeros(len(first), dtype=torch.bool)
        value = reward.bradley_terry(chosen, rejected, torch.zeros(len(first)), no).mean()
        value = value + 0.01 * reward.centring(chosen, rejected).mean()
        value.backward()
        return value

    optimiser.step(loss)
    assert score.sum().item() == pytest.approx(0, abs=1e-3)
    assert (score[0] - score[1]).item() == pytest.approx(math.log(7 / 3), abs=1e-3)


def test_a_new_model_guesses(backbone: Backbone) -> None:
    backbone.add_adapter("reward", r=4, alpha=8, seed=0, head=True)
    head = backbone.parameters_of("reward")["head.weight"]
    assert head.std().item() == pytest.approx(1 / math.sqrt(33), rel=0.4)
    with torch.no_grad():
        head.zero_()
    batch = reward.encode(Encoder(backbone.tokenizer, 64, 12), pairs(4))
    chosen, rejected = reward_scores.scores(backbone, batch, [0, 1, 2, 3])
    assert reward.bradley_terry(chosen, rejected, batch.margin, batch.tie).mean().item() == pytest.approx(math.log(2))


def test_pairs_of_one_ranking_share_the_weight_of_one(
    tiny_model: Path, tmp_path: Path, load: Callable[..., Backbone]
) -> None:
    # Three copies of a pair at a third of the weight, beside another: as if each stood there once.
    one, other = pairs(2)
    shared = [one.model_copy(update={"weight": 1 / 3})] * 3
    batch = reward.encode(Encoder(load().tokenizer, 64, 12), [*shared, other])
    assert batch.weight.sum().item() == pytest.approx(4)
    assert batch.weight[3].item() == pytest.approx(3 * batch.weight[0].item())
    losses = []
    for name, records in (("twice", [one, other]), ("shared", [*shared, other])):
        config = CONFIG.model_copy(update={"batch_size": len(records), "max_steps": 1, "normalise": False})
        events = run(config, parts(tmp_path / name, tiny_model, records))
        losses.append(metric(events, "reward/loss"))
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_the_score_is_read_at_the_last_valid_token(backbone: Backbone) -> None:
    backbone.add_adapter("reward", r=4, alpha=8, seed=0, head=True)
    perturb(backbone, "reward")
    end, padding = backbone.tokenizer.eos_token_id, backbone.pad_id
    rows = [[5, 6, 7, end], [9, 10, padding], [11, 12, 13, 14, 15, end]]
    together = reward_scores.score_rows(backbone, "reward", rows)
    for row, score in zip(rows, together, strict=True):
        hidden = backbone.hidden(*pad([row], backbone.pad_id), "reward")
        assert torch.allclose(backbone.head("reward", hidden[0, -1]), score, atol=1e-5)


def test_two_branches_behind_one_prompt_score_as_two_rows(
    load: Callable[..., Backbone], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for branched in (True, False):
        backbone = load()
        backbone.add_adapter("reward", r=4, alpha=8, seed=0, head=True)
        perturb(backbone, "reward")
        assert backbone.can_branch(100)
        monkeypatch.setattr(backbone, "can_branch", lambda width, branched=branched: branched)
        batch = reward.encode(Encoder(backbone.tokenizer, 64, 12), pairs(5))
        chosen, rejected = reward_scores.scores(backbone, batch, [0, 1, 2, 3, 4])
        (chosen - 2 * rejected).sum().backward()
        gradients = [p.grad for p in backbone.parameters_of("reward").values()]
        found.append([chosen.detach(), rejected.detach(), *gradients])
        alone = [
            reward_scores.score_rows(backbone, "reward", [p + r])[0]
            for p, r in zip(batch.prompts, batch.rejected, strict=True)
        ]
        assert torch.allclose(rejected, torch.stack(alone), atol=1e-5)
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(*found, strict=True))


def test_the_margins_of_the_data_count_where_the_config_says_so(tiny_model: Path, tmp_path: Path) -> None:
    data = [pair.model_copy(update={"margin": 4.0}) for pair in pairs(20)]
    losses = {}
    for wanted in (False, True):
        config = CONFIG.model_copy(update={"max_steps": 1, "use_margins": wanted, "normalise": False})
        events = run(config, parts(tmp_path / f"run {wanted}", tiny_model, data))
        losses[wanted] = (metric(events, "reward/loss")[0], metric(events, "eval/reward_loss")[0])
    assert all(asked > free + 1 for free, asked in zip(losses[False], losses[True], strict=True))


def test_it_learns_and_stores_how_to_read_its_scores(
    tiny_model: Path, tmp_path: Path, load: Callable[..., Backbone]
) -> None:
    config = CONFIG.model_copy(update={"max_steps": 30, "batch_size": 16, "eval_size": 100})
    data = [p.model_copy(update={"tags": {"flipped": i % 10 == 4}}) for i, p in enumerate(pairs(80))]
    events = run(config, parts(tmp_path / "run", tiny_model, data))
    assert last(events).outcome == "done"
    assert metric(events, "eval/accuracy")[-1] > 0.9
    assert metric(events, "eval/reward_loss")[-1] < metric(events, "eval/reward_loss")[0] < 3
    assert metric(events, "reward/margin")[-1] > 0
    assert metric(events, "eval/pairs")[-1] == 16
    # Half of the held-out labels here are said to be noise: the model, which learnt them, is half wrong.
    assert metric(events, "eval/accuracy_clean")[-1] == pytest.approx(0.5, abs=0.1)
    assert metric(events, "optim/learning_rate")[-1] == pytest.approx(config.learning_rate / 30)
    ends = [h for h in of(events, Histogram) if h.step == 30]
    assert {h.name for h in ends} == {"eval/scores_chosen", "eval/scores_rejected"}
    assert ends[0].edges == ends[1].edges
    assert [sum(h.counts) for h in ends] == [16, 16]
    (shown,) = of(events, Samples)
    assert len(shown.rows) >= 16

    lab = read_lab(tmp_path / "run" / "adapter")
    backbone = load()
    backbone.load_adapter("judge", tmp_path / "run" / "adapter", head=True)
    assert lab["base_hash"] == backbone.base_hash
    assert lab["normalised"]
    assert lab["stage"] == "reward"
    assert lab["score_std"] > 0
    scores = [row.values["raw_score"] for row in shown.rows]
    assert min(scores) <= lab["score_mean"] <= max(scores)


def test_normalisation_gives_sampled_answers_mean_0_and_deviation_1(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reward_look, "SAMPLED", 16)  # so that every answer is shown
    events = run(CONFIG, parts(tmp_path / "run", tiny_model, pairs()))
    lab = json.loads((tmp_path / "run" / "adapter" / "lab.json").read_text())
    (shown,) = of(events, Samples)
    read = [(row.values["raw_score"] - lab["score_mean"]) / lab["score_std"] for row in shown.rows]
    assert len(read) == 16
    assert sum(read) / 16 == pytest.approx(0, abs=1e-5)
    assert sum(value**2 for value in read) / 16 == pytest.approx(1, abs=1e-4)


def test_micro_batch_size_does_not_change_a_run(tiny_model: Path, tmp_path: Path) -> None:
    found = []
    for size in (1, 12):
        config = CONFIG.model_copy(update={"micro_batch_size": size})
        found.append(curves(run(config, parts(tmp_path / str(size), tiny_model, pairs()))))
        lab = json.loads((tmp_path / str(size) / "adapter" / "lab.json").read_text())
        found[-1] |= {(-1, name): lab[name] for name in ("score_mean", "score_std")}
    assert found[0].keys() == found[1].keys()
    assert all(math.isclose(found[0][key], found[1][key], rel_tol=2e-3, abs_tol=2e-3) for key in found[0])


@pytest.mark.parametrize("ticks", [2, 9, 16])
def test_a_stopped_run_goes_on_to_the_very_same_curves(tiny_model: Path, tmp_path: Path, ticks: int) -> None:
    whole = run(CONFIG, parts(tmp_path / "whole", tiny_model, pairs()))
    folder = tmp_path / "run"
    first = run(CONFIG, parts(folder, tiny_model, pairs(), control=StopAfterTicks(ticks)))
    assert last(first).outcome == "stopped"
    second = run(CONFIG, parts(folder, tiny_model, pairs(), resume=True))
    assert last(second).outcome == "done"
    assert [e.step for e in of(second, Resumed)] == [last(first).step]
    assert curves(first, second) == curves(whole)
    names = ("adapter_model.safetensors", "head.safetensors", "lab.json")
    assert all(
        (folder / "adapter" / n).read_bytes() == (tmp_path / "whole" / "adapter" / n).read_bytes() for n in names
    )


def test_data_without_pairs_is_refused_in_words(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="holds no pairs"):
        run(CONFIG, parts(tmp_path / "run", tiny_model, demonstrations()))


def test_every_look_after_the_first_diagnoses_the_model(tiny_model: Path, tmp_path: Path) -> None:
    data = [p.model_copy(update={"tags": {"annotator": "ann", "record": i + 1}}) for i, p in enumerate(pairs())]
    events = run(CONFIG, parts(tmp_path / "run", tiny_model, data))
    looks = {event.step: event.found for event in of(events, Diagnosis)}
    assert list(looks) == [3, 6]
    found = looks[6]
    assert [(part.name, part.pairs) for part in found.accuracy] == [("train", 8), ("heldout", 8)]
    assert metric(events, "eval/accuracy")[-1] == pytest.approx(found.accuracy[1].accuracy)
    assert metric(events, "eval/margin")[-1] == pytest.approx(found.accuracy[1].margin)
    assert metric(events, "eval/train_accuracy") == [look.accuracy[0].accuracy for look in looks.values()]
    assert metric(events, "eval/ece")[-1] == found.ece
    assert found.longer_wins is not None
    assert metric(events, "eval/longer_wins")[-1] == found.longer_wins.accuracy
    assert metric(events, "eval/length_corr")[-1] == found.length_correlation
    assert len(found.points) == 16
    assert "8 held-out pairs are few" in " ".join(found.verdict)
    heldout = {i + 1: pair for i, pair in enumerate(data) if pair.split == "heldout"}
    assert all(worst.record and worst.chosen == heldout[worst.record].chosen.text for worst in found.worst)


def test_each_head_learns_from_its_own_draw_of_the_pairs() -> None:
    drawn = reward.bootstrap_weights(3000, 4, seed=1).float()
    assert drawn.shape == (3000, 4)
    assert drawn.mean(0).tolist() == pytest.approx([1] * 4, abs=0.08)
    assert drawn.var(0).tolist() == pytest.approx([1] * 4, abs=0.12)
    assert (torch.corrcoef(drawn.T) - torch.eye(4)).abs().max() < 0.08
    assert torch.equal(drawn, reward.bootstrap_weights(3000, 4, seed=1).float())
    assert torch.equal(reward.bootstrap_weights(5, 1, seed=1), torch.ones(5, 1, dtype=torch.uint8))


def test_the_loss_of_an_ensemble_is_the_mean_over_its_heads(
    tiny_model: Path, tmp_path: Path, load: Callable[..., Backbone]
) -> None:
    config = CONFIG.model_copy(update={"heads": 3, "max_steps": 1, "normalise": False})
    data = [pair for pair in pairs() if pair.split == "train"]
    (loss,) = metric(run(config, parts(tmp_path / "run", tiny_model, data)), "reward/loss")
    backbone = load()
    backbone.add_adapter("reward", r=4, alpha=8, seed=config.seed, head=True, heads=3)
    places = Data(data, range(len(data))).places(6, 0, config.seed)
    batch = reward.encode(Encoder(backbone.tokenizer, 64, 12), [data[i] for i in places])
    chosen, rejected = reward_scores.head_scores(backbone, batch, range(6))
    drawn = reward.bootstrap_weights(len(data), 3, config.seed)[places]
    by_head = [
        (drawn[:, k] * reward.bradley_terry(chosen[:, k], rejected[:, k], batch.margin, batch.tie)).mean()
        for k in range(3)
    ]
    assert loss == pytest.approx(torch.stack(by_head).mean().item(), abs=1e-5)


def test_an_ensemble_trains_stops_resumes_and_is_read_as_its_mean(
    tiny_model: Path, tmp_path: Path, load: Callable[..., Backbone]
) -> None:
    config = CONFIG.model_copy(update={"heads": 3})
    whole = run(config, parts(tmp_path / "whole", tiny_model, pairs()))
    folder = tmp_path / "run"
    first = run(config, parts(folder, tiny_model, pairs(), control=StopAfterTicks(9)))
    second = run(config, parts(folder, tiny_model, pairs(), resume=True))
    assert curves(first, second) == curves(whole)
    assert metric(whole, "eval/head_spread")[-1] > 0
    backbone = load()
    backbone.load_adapter("judge", folder / "adapter", head=True)
    heads = backbone.parameters_of("judge")["head.weight"]
    assert heads.shape == (3, 32)
    assert (heads[0] - heads[1]).abs().max() > 0.1
    hidden = backbone.hidden(*pad([[5, 6, 7]], backbone.pad_id), "judge")
    by_head = backbone.heads("judge", hidden)
    assert by_head.shape == (1, 3, 3)
    assert torch.allclose(backbone.head("judge", hidden), by_head.mean(-1))


def test_heads_that_agree_on_every_pair_do_not_seem_to_disagree_on_every_answer(
    tiny_model: Path, tmp_path: Path, load: Callable[..., Backbone]
) -> None:
    """Pairs leave the zero of each head open: the heads are given a common one on the answers that are sampled."""
    config = CONFIG.model_copy(update={"heads": 3})
    backbone = load()
    backbone.add_adapter("reward", r=4, alpha=8, seed=1, head=True, heads=3)
    head = backbone.parameters_of("reward")
    with torch.no_grad():
        head["head.weight"].copy_(head["head.weight"][:1].expand(3, -1))  # they agree on every pair
        head["head.bias"].copy_(torch.tensor([3.0, 0.5, -2.0]))
    hidden = backbone.hidden(*pad([[5, 6, 7], [7, 8]], backbone.pad_id), "reward")
    before = backbone.head("reward", hidden)

    lab, shown = reward_look.normalisation(
        config, parts(tmp_path / "run", tiny_model, pairs()), backbone, Encoder(backbone.tokenizer, 64, 12)
    )

    assert backbone.heads("reward", hidden).std(-1, correction=0).max().item() == pytest.approx(0, abs=1e-5)
    assert torch.allclose(backbone.head("reward", hidden), before, atol=1e-5)
    raw = [row.values["raw_score"] for row in shown]
    assert min(raw) <= lab["score_mean"] <= max(raw)


def test_a_head_of_another_width_is_refused(tmp_path: Path, load: Callable[..., Backbone]) -> None:
    backbone = load()
    backbone.add_adapter("reward", r=4, alpha=8, seed=0, head=True)
    backbone.save_adapter("reward", tmp_path / "adapter", {})
    save_file({"weight": torch.zeros(1, 31), "bias": torch.zeros(1)}, tmp_path / "adapter" / "head.safetensors")
    with pytest.raises(LabError, match="does not fit this model: layer head"):
        load().load_adapter("judge", tmp_path / "adapter", head=True)
