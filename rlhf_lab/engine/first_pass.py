"""The passes that score a rollout, kept with their graphs: the first step goes back through them.

Its weights are still those that scored, so a second forward pass could only say the same. Kept are as many
micro-batches, the policy's before the critic's, as `rlhf_lab.core.grouping.first_groups` finds room for.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from rlhf_lab.core.grouping import first_groups
from rlhf_lab.core.memory import adapters_trained
from rlhf_lab.core.settings import OnPolicyRun
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.scoring import Episodes, logprobs_and_entropy, pack, put, states_before


class FirstPass:
    """Over a rollout in its micro-batches, ``groups`` of rows. Make one with `of`."""

    def __init__(self, backbone: Backbone, episodes: Episodes, groups: list[list[int]], room: int) -> None:
        """``room``: tokens whose graphs may be kept together."""
        self.groups = groups
        self._backbone = backbone
        self._episodes = episodes
        self._kept: dict[tuple[str, int], Tensor] = {}
        self._sizes = [len(rows) * max(len(episodes.ids(row)) for row in rows) for rows in groups]
        self._room = room

    @classmethod
    def of(cls, backbone: Backbone, episodes: Episodes, config: OnPolicyRun) -> "FirstPass | None":
        """None where the first step does not see all episodes."""
        if config.minibatches > 1:
            return None
        lengths = [len(episodes.ids(row)) for row in range(len(episodes))]
        tokens, kept = backbone.tokens_at_once, backbone.tokens_kept
        groups, room = first_groups(lengths, config.micro_batch_size, tokens, kept, adapters_trained(config))
        return cls(backbone, episodes, groups, room)

    def score_tokens(self, adapter: str, temperature: float, tick: Callable[[], None]) -> tuple[Tensor, Tensor]:
        """As `scoring.score_tokens`."""

        def both(states: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
            return logprobs_and_entropy(self._backbone, states, targets, temperature)

        return self._score(adapter, both, tick)

    def score_values(self, adapter: str, tick: Callable[[], None]) -> Tensor:
        """As `scoring.score_values`."""

        def values(states: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
            found = self._backbone.head(adapter, states).float()
            return found, found.detach()

        return self._score(adapter, values, tick)[0]

    def take(self, adapter: str, group: int) -> Tensor | None:
        """What the adapter said at the answer tokens of a group [n], with its graph; once, for it goes stale."""
        return self._kept.pop((adapter, group), None)

    def checked(self) -> int | None:
        """The shortest row of those that are kept, which has the most padding; None where nothing is."""
        return min(
            (self.groups[group][-1] for _, group in self._kept),
            key=lambda row: len(self._episodes.ids(row)),
            default=None,
        )

    def _score(
        self, adapter: str, measure: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], tick: Callable[[], None]
    ) -> tuple[Tensor, Tensor]:
        mask = self._episodes.answer_mask(self._backbone.device)
        dense = torch.zeros(*mask.shape, 2, device=mask.device)
        for group, (rows, size) in enumerate(zip(self.groups, self._sizes, strict=True)):
            tick()
            keep = size <= self._room
            batch = pack(self._backbone, self._episodes, rows)
            with torch.set_grad_enabled(keep):
                found, beside = measure(states_before(self._backbone, batch, adapter), batch.targets)
            if keep:
                self._room -= size
                self._kept[adapter, group] = found
            put(dense, mask, rows, torch.stack([found.detach(), beside], 1))
        return dense[..., 0], dense[..., 1]
