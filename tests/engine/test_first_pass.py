"""A first step that goes back through the pass that scored: the same losses and weights, one pass less."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from rlhf_lab.core.config import PpoConfig, RlooConfig
from rlhf_lab.engine import rloo
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.first_pass import FirstPass
from rlhf_lab.engine.ppo_state import Trainable
from rlhf_lab.engine.ppo_update import learn, targets_of
from rlhf_lab.engine.rollout import Rollout, sample_episodes, score_episodes
from tests.engine.conftest import perturb
from tests.engine.test_ppo_update import ASKED, SETTINGS, config, learned, quiet, tea, weights, with_roles

WHOLE = {"micro_batch_size": 6, "epochs": 3}


def rolled(backbone: Backbone, given: PpoConfig | RlooConfig, *, kept: bool, critic: bool = True) -> Rollout:
    hot = given.model_copy(update={"temperature": 2.0})
    episodes = sample_episodes(backbone, ASKED, hot, generator=torch.Generator().manual_seed(3), tick=quiet)
    first = FirstPass.of(backbone, episodes, given) if kept else None
    assert (first is not None) == kept
    return score_episodes(backbone, episodes, (tea,), given, quiet, critic=critic, first_pass=first)


def passes(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str | None, bool, int]]:
    """Adapter, whether with a graph, and rows of each pass to come."""
    seen: list[tuple[str | None, bool, int]] = []
    real = backbone.hidden

    def hidden(ids: torch.Tensor, mask: torch.Tensor, adapter: str | None, *rest: Any) -> torch.Tensor:
        seen.append((adapter, torch.is_grad_enabled(), len(ids)))
        return real(ids, mask, adapter, *rest)

    monkeypatch.setattr(backbone, "hidden", hidden)
    return seen


@pytest.mark.parametrize(
    ("room", "micro_batch_size", "share"), [(10**6, 6, 1), (150, 6, 0.5), (10**6, 2, 1), (60, 2, None), (1, 6, 0)]
)
def test_ppo_learns_the_same_with_fewer_passes(
    load: Callable[[], Backbone],
    monkeypatch: pytest.MonkeyPatch,
    room: int,
    micro_batch_size: int,
    share: float | None,
) -> None:
    """``share`` of the passes of policy and critic is kept; None: some."""
    given = config(**WHOLE | {"micro_batch_size": micro_batch_size})
    found = []
    for kept in (False, True):
        backbone = with_roles(load())
        perturb(backbone, "policy", size=0.05)
        first = FirstPass.__init__

        def init(self: FirstPass, *given: Any, first: Any = first) -> None:
            first(self, *given)
            self._room = room

        monkeypatch.setattr(FirstPass, "__init__", init)
        seen = passes(backbone, monkeypatch)
        rollout = rolled(backbone, given, kept=kept)
        spared = len(rollout.first_pass._kept) if rollout.first_pass else 0
        metrics = learned(backbone, rollout, given)
        found.append((metrics, weights(backbone, "policy") | weights(backbone, "value"), seen, rollout))
    (plain, expected, all_passes, rollout), (metrics, same_weights, fewer, same) = found
    torch.testing.assert_close(same.logprobs, rollout.logprobs, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(same.entropy, rollout.entropy, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(same.values, rollout.values, atol=1e-6, rtol=1e-5)
    assert metrics == pytest.approx(plain, rel=1e-3, abs=2e-6)
    torch.testing.assert_close(same_weights, expected, atol=2e-4, rtol=1e-3)
    checks = [one for one in fewer if one[2] == 1]
    assert checks == [("policy", False, 1)] * bool(spared)
    assert len(fewer) - len(checks) == len(all_passes) - spared
    passes_scored = 2 * (6 // micro_batch_size)
    assert 0 < spared < passes_scored if share is None else spared == share * passes_scored


def test_the_graph_is_let_go_after_the_first_step(backbone: Backbone) -> None:
    given = config(**WHOLE)
    rollout = rolled(with_roles(backbone), given, kept=True)
    assert rollout.first_pass is not None
    assert rollout.first_pass.checked() is not None
    learned(backbone, rollout, given)
    assert rollout.first_pass.checked() is None
    # Under other weights nothing that was kept is used again.
    assert learned(backbone, rollout, given)["policy/ratio_first_dev"] > 1e-4


def test_rloo_learns_the_same_too(load: Callable[[], Backbone]) -> None:
    settings = {name: value for name, value in SETTINGS.items() if name != "value_learning_rate"}
    given = RlooConfig(**settings | WHOLE | {"samples": 2, "kl_loss_coef": 0.1})
    found = []
    for kept in (False, True):
        backbone = load()
        backbone.add_adapter("policy", r=4, alpha=8, seed=0)
        perturb(backbone, "policy", size=0.05)
        rollout = rolled(backbone, given, kept=kept, critic=False)
        targets = rloo.targets_of(rollout, given, 0.05)
        generator = torch.Generator().manual_seed(1)
        metrics = learn(backbone, Trainable(backbone, given), rollout, targets, given, generator=generator, tick=quiet)
        found.append((metrics, weights(backbone, "policy")))
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-3, abs=2e-6)
    torch.testing.assert_close(found[1][1], found[0][1], atol=2e-4, rtol=1e-3)


def test_the_first_ratio_still_says_when_two_passes_differ(backbone: Backbone) -> None:
    given = config(**WHOLE | {"epochs": 1})
    with_roles(backbone)
    for module in list(backbone.model.modules()):
        if type(module).__name__ == "LlamaDecoderLayer":
            module.register_forward_hook(lambda _, __, out: nn.functional.dropout(out, 0.1))
    rollout = rolled(backbone, given, kept=True)
    found = learn(
        backbone,
        Trainable(backbone, given),
        rollout,
        targets_of(rollout, given, 0.05),
        given,
        generator=torch.Generator().manual_seed(1),
        tick=quiet,
    )
    assert found["policy/ratio_first_dev"] > 1e-3


def test_nothing_is_kept_where_the_first_step_sees_less(backbone: Backbone) -> None:
    episodes = rolled(with_roles(backbone), config(**WHOLE), kept=True).episodes
    assert FirstPass.of(backbone, episodes, config(**WHOLE | {"minibatches": 2})) is None


@pytest.mark.parametrize("micro_batch_size", [1, 2, 6])
def test_no_more_is_kept_than_one_micro_batch_may_hold(backbone: Backbone, micro_batch_size: int) -> None:
    """Who asks for small micro-batches has little memory."""
    first = rolled(with_roles(backbone), config(**WHOLE | {"micro_batch_size": micro_batch_size}), kept=True).first_pass
    assert first is not None
    kept = [rows for group, rows in enumerate(first.groups) if first.take("policy", group) is not None]
    assert (len(kept), len(first.groups)) == (
        (1, 6) if micro_batch_size == 1 else (1, 3) if micro_batch_size == 2 else (1, 1)
    )
