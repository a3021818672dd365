"""How each symptom is recognised. The numbers come from the rule, the words say what was seen."""

import math
from collections.abc import Callable

from rlhf_lab.core.config import DpoConfig, total_steps
from rlhf_lab.core.health.history import Difference, History, difference
from rlhf_lab.core.health.rule import Rule
from rlhf_lab.core.metrics import METRICS

Judge = Callable[[History, Rule], str | None]


def above(name: str) -> Judge:
    """The mean over the rule's window is above its limit."""

    def judge(seen: History, rule: Rule) -> str | None:
        value = seen.recent(name, rule.window)
        if value is None or value <= rule.limit:
            return None
        return f"{_label(name)} is {value:.3g}{_over(rule)}; healthy is at most {rule.limit:g}."

    return judge


def below(name: str) -> Judge:
    """The mean over the rule's window is below its limit."""

    def judge(seen: History, rule: Rule) -> str | None:
        value = seen.recent(name, rule.window)
        if value is None or value >= rule.limit:
            return None
        return f"{_label(name)} is {value:.3g}{_over(rule)}; healthy is at least {rule.limit:g}."

    return judge


def not_finite(seen: History, rule: Rule) -> str | None:
    """A term is NaN or infinite."""
    return f"{_label(seen.not_finite)} ({seen.not_finite}) is NaN or infinite." if seen.not_finite else None


def kl_before_learning(name: str, last_step: int) -> Judge:
    """Policy and reference differ while the policy is still the reference."""

    def judge(seen: History, rule: Rule) -> str | None:
        if seen.step > last_step:
            return None
        # k1 may be 0 by chance where the policies differ; k3 is 0 only where they do not.
        values = [seen.recent(name) or 0.0, (seen.recent("objective/kl_k3") or 0.0) if last_step else 0.0]
        value = max(values, key=abs)
        if abs(value) <= _tolerance(seen, rule):
            return None
        return f"Before the first update the KL to the reference is {value:.3g}, not 0."

    return judge


def first_ratio(seen: History, rule: Rule) -> str | None:
    """The probabilities of the sampled tokens are others when learning begins."""
    value = seen.recent("policy/ratio_first_dev") or 0.0
    if value <= _tolerance(seen, rule):
        return None
    return f"The first ratio of an update is off 1 by up to {value:.2g}."


def first_dpo_loss(seen: History, rule: Rule) -> str | None:
    """DPO's loss does not start where equal policies put it."""
    config, value = seen.config, seen.recent("dpo/loss")
    if seen.step > 1 or value is None or not isinstance(config, DpoConfig):
        return None
    expected = math.log(2) if config.loss == "sigmoid" else 1 / (4 * config.beta**2)
    if abs(value - expected) <= rule.limit * max(1.0, expected):
        return None
    return f"The first loss is {value:.4g}; with the policy still at its start it must be {expected:.4g}."


def sampler(seen: History, rule: Rule) -> str | None:
    """Over the window, sampled tokens are not as surprising as the policy's entropy says."""
    values = seen.window("policy/sampling_z", rule.window)
    if not values:
        return None
    combined = math.fsum(values) / math.sqrt(len(values))
    if abs(combined) <= rule.limit:
        return None
    less = "less" if combined < 0 else "more"
    return (
        f"The sampled tokens are {less} surprising to the policy than its own entropy says: "
        f"{abs(combined):.1f} standard errors over {len(values)} update{'s' * (len(values) != 1)}."
    )


def kl_doubling(seen: History, rule: Rule) -> str | None:
    """KL has more than doubled within the window, above the floor."""
    now, then = seen.recent("objective/kl", 3), seen.recent("objective/kl", 1, ago=rule.window)
    if now is None or then is None or now <= rule.floor or now <= rule.limit * max(then, 0.0):
        return None
    return f"KL went from {then:.3g} to {now:.3g} within {rule.window} updates."


def no_learning(seen: History, rule: Rule) -> str | None:
    """The policy stands still and so does the score."""
    names = ("objective/kl_k3", "objective/scores_sd", "objective/scores")
    kl, spread, score = (seen.recent(name, rule.window) for name in names)
    clipped = seen.recent("policy/clipfrac_avg", rule.window)
    start = seen.first("objective/scores", 3)
    if kl is None or spread is None or score is None or start is None:
        return None
    if kl >= rule.limit or (clipped or 0.0) >= rule.limit or score - start > rule.floor * spread:
        return None
    return f"After {seen.step} updates KL is {kl:.2g}, nothing is clipped, and the score went from {start:.3g} to {score:.3g}."


def no_gradient(seen: History, rule: Rule) -> str | None:
    """The gradient is nothing."""
    value = seen.recent("optim/grad_norm")
    return None if value is None or value > rule.limit else f"The gradient norm is {value:.2g}."


def gradient_jump(seen: History, rule: Rule) -> str | None:
    """The gradient is many times what it was."""
    now, before = seen.recent("optim/grad_norm"), seen.recent("optim/grad_norm", rule.window, ago=1)
    if now is None or before is None or now <= rule.floor or now <= rule.limit * before:
        return None
    return f"The gradient norm is {now:.3g}; over the {rule.window} steps before it was {before:.3g}."


def entropy_low(seen: History, rule: Rule) -> str | None:
    """The policy has become sure of itself."""
    start, now = seen.first("objective/entropy", 2), seen.recent("objective/entropy", rule.window)
    if start is None or now is None or start <= rule.floor or now >= rule.limit * start:
        return None
    return f"Entropy per token fell from {start:.3g} to {now:.3g}."


def incoherent(seen: History, rule: Rule) -> str | None:
    """Entropy and KL rise together, far from the start."""
    start, entropy = seen.first("objective/entropy", 2), seen.recent("objective/entropy", 3)
    before = seen.recent("objective/entropy", 3, ago=rule.window)
    kl, kl_before = seen.recent("objective/kl", 3), seen.recent("objective/kl", 3, ago=rule.window)
    if start is None or entropy is None or before is None or kl is None or kl_before is None:
        return None
    if kl <= rule.floor or kl <= kl_before or entropy <= before or entropy <= rule.limit * start:
        return None
    return f"Entropy per token is {entropy:.3g}, from {start:.3g} at the start, while KL rose to {kl:.3g}."


def rambling(seen: History, rule: Rule) -> str | None:
    """Too many answers do not end."""
    ended, start = seen.recent("val/eos_rate"), seen.first("val/eos_rate")
    if ended is None or start is None or ended >= rule.limit:
        return None
    return f"{1 - ended:.0%} of the answers are cut at the limit; {1 - start:.0%} were at the start."


def length_changed(seen: History, rule: Rule) -> str | None:
    """Answers are much longer or shorter than at the start, and no better for it."""
    start, now = seen.first("val/response_length", 2), seen.recent("val/response_length", rule.window)
    first, look = seen.first_look, seen.look
    if not start or now is None or first is None or look is None or first is look:
        return None
    change = now / start - 1
    rise = difference(first.gold, look.gold) or difference(first.score, look.score)
    if abs(change) <= rule.limit or rise is None or rise.mean > rise.error:
        return None
    return f"Answers have {now:.0f} tokens, {change:+.0%} since the start, and the held-out score did not rise."


def over_optimised(seen: History, rule: Rule) -> str | None:
    """The gold score falls, or has stopped rising for long, while what is optimised goes up."""
    best, now = seen.best_gold, seen.look
    if best is None or now is None:
        return None
    gold = difference(best.gold, now.gold)
    if gold is None or gold.mean >= 0:
        return None
    score = difference(best.score, now.score)
    if score is not None and score.mean <= score.error:
        return None
    rose = f" while the score rose by {score}" if score else ""
    if gold.mean < -rule.limit * gold.error:
        return f"The gold score fell by {gold} since step {best.step}{rose}."
    stalled = seen.looks_since_best >= rule.window and now.step - best.step >= rule.floor
    if stalled and score is not None and score.mean > rule.limit * score.error:
        return f"The gold score has not risen since step {best.step}{rose}."
    return None


def gold_lags(seen: History, rule: Rule) -> str | None:
    """The score still rises, but brings far less gold than it did at first."""
    first, then, now = seen.first_look, seen.look_before(rule.window), seen.look
    if first is None or then is None or now is None or then is first:
        return None
    early, late = (difference(a.gold, b.gold) for a, b in ((first, then), (then, now)))
    early_score, late_score = (difference(a.score, b.score) for a, b in ((first, then), (then, now)))
    if early is None or late is None or early_score is None or late_score is None:
        return None
    if any(rise.mean <= rule.floor * rise.error for rise in (early, early_score, late_score)):
        return None
    expected = late_score.mean * early.mean / early_score.mean
    chance = rule.floor * late.error
    # A fall beyond chance is over-optimisation itself.
    if late.mean < -chance or late.mean + chance >= rule.limit * expected:
        return None
    return (
        f"Since step {then.step} the score rose by {late_score} and the gold score changed by "
        f"{late.mean:+.2g} ± {late.error:.1g}; at the rate of before it would be {expected:+.2g}."
    )


def heldout_falls(seen: History, rule: Rule) -> str | None:
    """The same reward rises on the prompts that are trained on and falls on others."""
    best, now = seen.best_score, seen.look
    if best is None or now is None or best.train_score is None or now.train_score is None:
        return None
    fall = difference(best.score, now.score)
    if fall is None or fall.mean >= -rule.limit * fall.error or now.train_score <= best.train_score:
        return None
    return (
        f"On held-out prompts the score fell by {fall} since step {best.step}, "
        f"on training prompts it went from {best.train_score:.3g} to {now.train_score:.3g}."
    )


def no_spread(seen: History, rule: Rule) -> str | None:
    """All answers score the same."""
    spread, start = seen.recent("objective/scores_sd", rule.window), seen.first("objective/scores_sd")
    mean = seen.recent("objective/scores") or 0.0
    if spread is None or start is None or spread > max(rule.limit * start, rule.floor * abs(mean)):
        return None
    return f"The scores of a batch spread by {spread:.2g} around {mean:.3g}; at the start by {start:.2g}."


def stuck_at_guessing(name: str) -> Judge:
    """The loss stays at what guessing gives, and held-out pairs do not say that something was learned."""

    def judge(seen: History, rule: Rule) -> str | None:
        loss = seen.recent(name, rule.window)
        if loss is None or loss < rule.limit:
            return None
        accuracy, pairs = seen.recent("eval/accuracy"), seen.recent("eval/pairs") or 0.0
        if accuracy is not None and pairs and accuracy > 0.5 + rule.floor * 0.5 / math.sqrt(pairs):
            return None
        return f"Over {rule.window} steps the mean loss is {loss:.3f}; guessing gives 0.693."

    return judge


def dead_head(seen: History, rule: Rule) -> str | None:
    """Chosen and rejected score exactly the same."""
    margin = seen.recent("reward/margin")
    if margin is None or abs(margin) > rule.limit:
        return None
    return f"Chosen and rejected answers score the same: the margin is {margin:.2g}."


def labels_reversed(seen: History, rule: Rule) -> str | None:
    """Held-out accuracy is below guessing by more than chance."""
    pairs = seen.recent("eval/pairs") or 0.0
    for name in ("eval/accuracy", "eval/accuracy_clean"):
        value = seen.recent(name)
        if value is not None and pairs and value < 0.5 - rule.limit * 0.5 / math.sqrt(pairs):
            return f"{_label(name)} is {value:.1%} of {pairs:.0f} pairs: worse than guessing."
    return None


def learns_little(seen: History, rule: Rule) -> str | None:
    """Near the end of training, held-out accuracy is hardly above guessing."""
    value = seen.recent("eval/accuracy")
    if value is None or seen.step < rule.floor * total_steps(seen.config) or value >= rule.limit:
        return None
    return f"Held-out accuracy is {value:.1%} after {seen.step} steps; guessing gives 50%."


def overfitted(seen: History, rule: Rule) -> str | None:
    """Accuracy on pairs that are trained on is well above that on others."""
    train, heldout, pairs = (seen.recent(name) for name in ("eval/train_accuracy", "eval/accuracy", "eval/pairs"))
    if train is None or heldout is None or not pairs:
        return None
    gap = Difference(train - heldout, math.sqrt((train * (1 - train) + heldout * (1 - heldout)) / pairs))
    if gap.mean <= rule.limit or gap.mean <= rule.floor * gap.error:
        return None
    return f"Accuracy is {train:.1%} on training pairs and {heldout:.1%} on held-out pairs."


def heldout_loss_rises(name: str, train: str) -> Judge:
    """The held-out loss is well above its best, the training loss is not."""

    def judge(seen: History, rule: Rule) -> str | None:
        looks = seen.window(name, 64)
        if not looks or looks[0] <= rule.limit * min(looks):
            return None
        start, now = seen.first(train, 3), seen.recent(train, rule.window)
        if start is None or now is None or now >= start:
            return None
        return f"The held-out loss is {looks[0]:.3g}, up from {min(looks):.3g}; the training loss is {now:.3g}."

    return judge


def diverging(name: str) -> Judge:
    """The training loss is above where it started."""

    def judge(seen: History, rule: Rule) -> str | None:
        start, now = seen.first(name), seen.recent(name, rule.window)
        if start is None or now is None or now <= max(rule.limit * start, rule.floor):
            return None
        return f"The loss is {now:.3g} over {rule.window} steps; it began at {start:.3g}."

    return judge


def _tolerance(seen: History, rule: Rule) -> float:
    return rule.limit if seen.config.dtype == "fp32" or rule.bf16_limit is None else rule.bf16_limit


def _label(name: str) -> str:
    return METRICS[name].label if name in METRICS else name


def _over(rule: Rule) -> str:
    return f" over {rule.window} steps" if rule.window > 1 else ""
