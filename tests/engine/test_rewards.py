"""Where scores come from: built-in rewards, weights, and everything that a config names."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from rlhf_lab.core.config import PpoConfig
from rlhf_lab.core.errors import LabError
from rlhf_lab.core.events import Warned
from rlhf_lab.core.records import PromptOnly, Tag
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.batches import pad
from rlhf_lab.engine.prompts import Asked
from rlhf_lab.engine.reward_builtin import ExactReward, LengthReward, exact_reward, pattern_reward, plain
from rlhf_lab.engine.rewards import idle_weights, load_rewards, score_scale
from rlhf_lab.engine.rollout import total_score
from rlhf_lab.engine.scoring import Episodes
from tests.engine.conftest import demonstrations, perturb, prompt
from tests.engine.stage_runs import of, parts, run

FUNCTION = "def reward(prompts, answers, tags):\n    return [len(p) + t['n'] for p, t in zip(prompts, tags)]\n"


def quiet() -> None:
    pass


def answered(backbone: Backbone, *texts: str, tags: dict[str, Tag] | None = None) -> Episodes:
    asked = [prompt("What is tea?").model_copy(update={"tags": tags or {}})] * len(texts)
    end = backbone.tokenizer.eos_token_id
    answers = [[*backbone.tokenizer.encode(text, add_special_tokens=False), end] for text in texts]
    return Episodes(Asked(asked, [[5, 6, 7]] * len(texts)), answers)


def test_length_costs_the_share_by_which_it_is_missed(backbone: Backbone) -> None:
    episodes = Episodes(Asked([prompt("?")] * 4, [[5]] * 4), [[1] * 5, [1] * 10, [1] * 15, [1] * 40])
    assert LengthReward(10)(episodes, quiet).tolist() == pytest.approx([-0.5, 0, -0.5, -3])


@pytest.mark.parametrize(
    ("answer", "known", "right"),
    [
        ("  “Paris!” ", "paris", True),
        ("PARIS", "Paris.", True),
        ("New\n york", "New  York", True),
        ("42", 42, True),
        ("2.5", 2.5, True),
        ("It is Paris", "Paris", False),
        ("", "Paris", False),
        ("Straße", "STRASSE", True),
    ],
)
def test_the_right_answer_is_read_without_case_and_outer_marks(answer: str, known: Tag, right: bool) -> None:
    assert (plain(answer) == plain(known)) is right


def test_only_prompts_that_say_their_answer_can_be_answered_right(backbone: Backbone) -> None:
    source = ExactReward(backbone.tokenizer)
    assert source(answered(backbone, "tea", "milk", tags={"answer": "Tea"}), quiet).tolist() == [1, 0]
    assert source(answered(backbone, "tea", ""), quiet).tolist() == [0, 0]
    with pytest.raises(LabError, match='no prompt of the data set has the tag "answer"'):
        exact_reward([PromptOnly(prompt=prompt("?"))], backbone.tokenizer)


def test_a_pattern_is_found_or_not(backbone: Backbone) -> None:
    source = pattern_reward(r"^It's \"\d+\"\.$", backbone.tokenizer)
    assert source(answered(backbone, 'It\'s "12".', "It's 12."), quiet).tolist() == [1, 0]


def test_a_pattern_that_takes_for_ever_ends_in_words(backbone: Backbone) -> None:
    source = pattern_reward("(a+)+$", backbone.tokenizer, seconds=0.5)
    with pytest.raises(LabError, match=r"The pattern '\(a\+\)\+\$' .* took longer than 0.5 s for 1 answers"):
        source(answered(backbone, "a" * 60 + "b"), quiet)


def test_all_that_a_config_names_is_weighted_and_summed(
    load: Callable[..., Backbone], tiny_model: Path, tmp_path: Path
) -> None:
    trained = load()
    trained.add_adapter("reward", r=4, alpha=8, seed=0, head=True)
    perturb(trained, "reward")
    trained.save_adapter("reward", tmp_path / "reward", {"score_mean": 0.5, "score_std": 2.0})
    function = tmp_path / "reward_function.py"
    function.write_text(FUNCTION)
    records = [PromptOnly(prompt=prompt("What is tea?").model_copy(update={"tags": {"answer": "tea", "n": 3}}))]
    given = parts(tmp_path / "run", tiny_model, records, reward_adapter=tmp_path / "reward", reward_function=function)
    weights = {
        "reward_model_weight": 0.5,
        "reward_function_weight": -0.1,
        "length_weight": 2.0,
        "regex_weight": 3.0,
        "exact_weight": 7.0,
    }
    config = PpoConfig(
        reward_model="reward-1", reward_function="mine.py", length_target=4, regex="te[ae]", device="cpu", **weights
    )
    backbone = load()
    episodes = answered(backbone, "tea", "milk", tags=records[0].prompt.tags)
    every = load_rewards(backbone, config, given)
    alone = []
    for name in weights:
        off = {other: 0.0 for other in weights if other != name}
        alone.append(total_score(load_rewards(load(), config.model_copy(update=off), given), episodes, quiet))
    assert len(every) == 5
    torch.testing.assert_close(total_score(every, episodes, quiet), sum(alone))
    lengths = torch.tensor(episodes.lengths())
    assert alone[1].tolist() == pytest.approx([-0.1 * (len("What is tea?") + 3)] * 2)
    torch.testing.assert_close(alone[2], -2.0 * (lengths - 4).abs() / 4)
    assert alone[3].tolist() == [3, 0]
    assert alone[4].tolist() == [7, 0]


def test_no_source_at_all_is_refused(backbone: Backbone, tiny_model: Path, tmp_path: Path) -> None:
    given = parts(tmp_path / "run", tiny_model, [])
    with pytest.raises(LabError, match="PPO needs something that scores answers"):
        load_rewards(backbone, PpoConfig(), given)
    with pytest.raises(LabError, match="no copy of its reward function"):
        load_rewards(backbone, PpoConfig(reward_function="mine.py"), given)


def test_a_function_that_cannot_be_loaded_is_said_before_anything_is_sampled(
    backbone: Backbone, tiny_model: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "reward_function.py"
    copy.write_text("import json\njson.loads(')')\n")
    given = parts(tmp_path / "run", tiny_model, [], reward_function=copy)
    with pytest.raises(LabError, match=r"reward function mine.py, line 2 \(json.loads\('\)'\)\): JSONDecodeError"):
        load_rewards(backbone, PpoConfig(reward_function="mine.py"), given)


@pytest.mark.parametrize("lab", [{"score_std": 0}, {"score_mean": "1"}, {"score_std": -1.0}])
def test_a_damaged_scale_is_refused(lab: dict[str, object]) -> None:
    with pytest.raises(LabError, match="score scale is damaged"):
        score_scale(lab)


def test_caution_takes_the_disagreement_of_the_heads_off(
    load: Callable[..., Backbone], tiny_model: Path, tmp_path: Path
) -> None:
    trained = load()
    trained.add_adapter("reward", r=4, alpha=8, seed=0, head=True, heads=3)
    perturb(trained, "reward")
    trained.save_adapter("reward", tmp_path / "reward", {"score_mean": 0.5, "score_std": 2.0})
    given = parts(tmp_path / "run", tiny_model, [], reward_adapter=tmp_path / "reward")
    backbone = load()
    episodes = answered(backbone, "It is tea.", "milk")
    scores = []
    for caution in (0.0, 0.5):
        config = PpoConfig(reward_model="reward-1", uncertainty_coef=caution, device="cpu")
        scores.append(total_score(load_rewards(load(), config, given), episodes, quiet))
    rows = [[5, 6, 7, *answer] for answer in episodes.answer_ids]
    with torch.no_grad():
        raw = torch.stack(
            [trained.heads("reward", trained.hidden(*pad([row], trained.pad_id), "reward"))[0, -1] for row in rows]
        )
    by_head = (raw - 0.5) / 2.0
    torch.testing.assert_close(scores[0], by_head.mean(1), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(scores[0] - scores[1], 0.5 * by_head.std(1, correction=0), atol=1e-5, rtol=1e-5)
    assert (scores[0] > scores[1]).all()


def test_a_weight_with_nothing_to_weigh_is_said(tiny_model: Path, tmp_path: Path) -> None:
    said = [warned.text for warned in idle_weights(PpoConfig(reward_model_weight=0.5, reward_function_weight=2))]
    assert [text.split(" weighs nothing")[0] for text in said] == [
        "reward_model_weight = 0.5",
        "reward_function_weight = 2",
    ]
    assert list(idle_weights(PpoConfig(reward_model="reward-1", reward_model_weight=0.5))) == []
    assert [warned.text for warned in idle_weights(PpoConfig(regex="x"))] == [
        "regex counts nothing, since regex_weight is 0."
    ]
    small = {"batch_size": 2, "micro_batch_size": 2, "max_prompt_tokens": 32, "max_new_tokens": 4, "updates": 1}
    config = PpoConfig(**small, epochs=1, lora_r=2, eval_size=2, length_weight=1.0, reward_function_weight=0.0)
    events = run(config, parts(tmp_path / "run", tiny_model, demonstrations()))
    assert [event.text.split(" ")[0] for event in of(events, Warned) if event.code == "idle_weight"] == [
        "reward_function_weight"
    ]
