"""What is exported loads with plain transformers and peft, in a process without the lab, and says what the lab says."""

import json
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoTokenizer, GenerationConfig, GPT2Config

from rlhf_lab.core.errors import LabError
from rlhf_lab.engine import export
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.export import Trained
from rlhf_lab.engine.reward_scores import score_rows
from tests.engine.conftest import make_tokenizer, perturb, save_model, tiny_llama

LOADER = Path(__file__).with_name("plain_loader.py")
ROWS = [[5, 9, 40, 77, 1], [8, 8, 30], [200, 17, 63, 5, 90, 12, 1]]
EXACT = 2e-5
"""fp32: other orders of the same sums; logits here are up to about 10."""
ROUNDED = 0.25
"""bf16 keeps 8 bits, and logits here reach 20."""


@dataclass
class World:
    """Exports made for these tests, and what both sides say of the rows."""

    root: Path
    ours: dict[str, list[Tensor]] = field(default_factory=dict)
    jobs: list[dict[str, Any]] = field(default_factory=list)

    def place(self, name: str) -> Path:
        (self.root / name).mkdir(parents=True)
        return self.root / name

    def expect(self, name: str, ours: list[Tensor], model: Path, adapter: Path | None = None, **job: Any) -> None:
        self.ours[name] = ours
        fields = {"kind": "causal", "dtype": "float32", "rows": ROWS, "out": str(self.root / f"{name}.safetensors")}
        self.jobs.append({**fields, "model": str(model), "adapter": adapter and str(adapter), **job})

    def theirs(self, name: str) -> list[Tensor]:
        found = load_file(self.root / f"{name}.safetensors")
        return [found[str(n)] for n in range(len(found))]

    def apart(self, name: str) -> float:
        """The largest difference of a number that both sides gave."""
        pairs = zip(self.ours[name], self.theirs(name), strict=True)
        return max((ours - theirs.reshape(ours.shape)).abs().max().item() for ours, theirs in pairs)


def logits(backbone: Backbone, adapter: str) -> list[Tensor]:
    with torch.no_grad():
        rows = [torch.tensor([row]) for row in ROWS]
        return [backbone.logits(backbone.hidden(row, torch.ones_like(row), adapter))[0] for row in rows]


def scores(backbone: Backbone, adapter: str, trained: Trained) -> list[Tensor]:
    """As the lab scores: shifted and scaled."""
    mean, std = trained.own.lab["score_mean"], trained.own.lab["score_std"]
    with torch.no_grad():
        return [(score_rows(backbone, adapter, [row]) - mean) / std for row in ROWS]


def made(
    world: World, name: str, model: Path, start: tuple[Path, ...] = (), dtype: str = "fp32", **how: Any
) -> tuple[Backbone, Trained]:
    """A run's adapter that matters, in a backbone and on the disk."""
    backbone = Backbone.load(model, start_adapters=start, dtype=dtype, device="cpu")
    backbone.add_adapter(name, **{"r": 3, "alpha": 6, "seed": len(name), **how})
    perturb(backbone, name, len(name))
    folder = world.root / "runs" / name / "adapter"
    folder.parent.mkdir(parents=True)
    backbone.save_adapter(name, folder, {"stage": "sft", "score_mean": 0.4, "score_std": 2.5})
    return backbone, Trained.read(model, start, folder, "bf16" if dtype == "bf16" else "fp32")


def top_layer_only(folder: Path) -> None:
    """What an adapter of the last block alone looks like."""
    weights, config = folder / "adapter_model.safetensors", folder / "adapter_config.json"
    kept = {name: tensor for name, tensor in load_file(weights).items() if ".layers.1." in name}
    save_file(kept, weights)
    config.write_text(json.dumps(json.loads(config.read_text()) | {"layers_to_transform": [1]}))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Every kind of export, and one process of a stranger that loads them all."""
    world = World(tmp_path_factory.mktemp("exports"))
    tokenizer = make_tokenizer()
    tiny = save_model(world.root / "tiny", tiny_llama(len(tokenizer)), tokenizer)

    sft_backbone, sft = made(world, "sft", tiny)
    export.write_adapter(sft, world.place("sft-adapter"), "tiny", joined=True)
    world.expect("adapter", logits(sft_backbone, "sft"), tiny, world.root / "sft-adapter")

    ppo_backbone, ppo = made(world, "ppo", tiny, (sft.folder,), r=2, alpha=5)
    export.write_adapter(ppo, world.place("joined"), "tiny", joined=True)
    export.write_adapter(ppo, world.place("own"), "base", joined=False)
    export.write_base(ppo, world.place("base"))
    export.write_merged(ppo, world.place("merged"), "fp32")
    export.write_merged(ppo, world.place("merged-bf16"), "bf16")
    said = logits(ppo_backbone, "ppo")
    world.expect("joined adapter", said, tiny, world.root / "joined")
    world.expect("adapter and merged base", said, world.root / "base", world.root / "own")
    world.expect("merged model", said, world.root / "merged")
    world.expect("merged model in bf16", said, world.root / "merged-bf16", dtype="bfloat16")

    _, top = made(world, "top", tiny, (sft.folder,))
    top_layer_only(top.folder)
    top = Trained.read(tiny, (sft.folder,), top.folder, "fp32")
    top_backbone = Backbone.load(tiny, start_adapters=(sft.folder,), device="cpu")
    top_backbone.load_adapter("top", top.folder)
    export.write_adapter(top, world.place("joined-top"), "tiny", joined=True)
    world.expect("joined with the top layer's", logits(top_backbone, "top"), tiny, world.root / "joined-top")

    half_backbone, half = made(world, "rounded", tiny, (sft.folder,), dtype="bf16")
    export.write_merged(half, world.place("half"), "fp32")
    export.write_base(half, world.place("half-base"))
    export.write_adapter(half, world.place("half-own"), "base", joined=False)
    said = [found.float() for found in logits(half_backbone, "rounded")]
    world.expect("merged, trained in bf16", said, world.root / "half")
    world.expect(
        "base and adapter, trained in bf16",
        said,
        world.root / "half-base",
        world.root / "half-own",
        dtype="bfloat16",
    )

    reward_backbone, reward = made(world, "reward", tiny, (sft.folder,), head=True)
    export.write_reward(reward, world.place("reward-model"), "fp32")
    export.write_adapter(reward, world.place("reward-adapter"), "tiny", joined=True)
    export.write_tokenizer(reward, world.root / "reward-adapter")
    said, reward_place = scores(reward_backbone, "reward", reward), str(world.root / "reward-adapter")
    world.expect("reward model", said, world.root / "reward-model", kind="score")
    world.expect("reward model, padded", said, world.root / "reward-model", kind="score", batch=True)
    world.expect("reward adapter", said, tiny, world.root / "reward-adapter", kind="score", tokenizer=reward_place)

    several_backbone, several = made(world, "several", tiny, head=True, heads=3)
    export.write_reward(several, world.place("heads-mean"), "fp32")
    export.write_reward(several, world.place("head-2"), "fp32", head=2)
    world.expect("mean of heads", scores(several_backbone, "several", several), world.root / "heads-mean", kind="score")
    one = several_backbone.parameters_of("several")
    with torch.no_grad():
        for part in ("head.weight", "head.bias"):
            one[part].copy_(one[part][1:2].clone().expand_as(one[part]))
    world.expect("one of the heads", scores(several_backbone, "several", several), world.root / "head-2", kind="score")

    plain = make_tokenizer(pad=False)
    shape = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "bos_token_id": None, "eos_token_id": 1}
    gpt2 = save_model(world.root / "gpt2", GPT2Config(vocab_size=len(plain), initializer_range=0.2, **shape), plain)
    turned_backbone, turned = made(world, "turned", gpt2, head=True)
    export.write_adapter(replace_head(turned), world.place("gpt2-adapter"), "gpt2", joined=True)
    export.write_reward(turned, world.place("gpt2-reward"), "fp32")
    world.expect("adapter on GPT-2", logits(turned_backbone, "turned"), gpt2, world.root / "gpt2-adapter")
    said = scores(turned_backbone, "turned", turned)
    world.expect("reward model on GPT-2", said, world.root / "gpt2-reward", kind="score")

    shared = make_tokenizer()
    shared.pad_token, shared.bos_token = shared.eos_token, "<|system|>"
    same = save_model(world.root / "same", tiny_llama(len(shared), pad_token_id=1), shared)
    same_backbone, ended_alike = made(world, "alike", same, head=True)
    export.write_adapter(ended_alike, world.place("alike-adapter"), "same", joined=True)
    export.write_tokenizer(ended_alike, world.root / "alike-adapter")
    export.write_adapter(ended_alike, world.place("alike-own"), "base", joined=False)
    export.write_base(ended_alike, world.place("alike-base"))
    export.write_reward(ended_alike, world.place("alike-reward"), "fp32")
    said = scores(same_backbone, "alike", ended_alike)
    places = [str(world.root / name) for name in ("alike-adapter", "alike-base", "alike-own", "alike-reward")]
    world.expect("pad is end, adapter", said, same, Path(places[0]), kind="score", tokenizer=places[0])
    world.expect("pad is end, base", said, Path(places[1]), Path(places[2]), kind="score", tokenizer=places[1])
    world.expect("pad is end, reward model", said, Path(places[3]), kind="score", batch=True)

    todo = world.root / "jobs.json"
    todo.write_text(json.dumps(world.jobs))
    ended = subprocess.run([sys.executable, "-I", str(LOADER), str(todo)], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return world


def replace_head(trained: Trained) -> Trained:
    """The same without its score head: an adapter that writes."""
    return replace(trained, own=replace(trained.own, head=None))


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("adapter", EXACT),
        ("joined adapter", EXACT),
        ("joined with the top layer's", EXACT),
        ("adapter and merged base", EXACT),
        ("merged model", EXACT),
        ("adapter on GPT-2", EXACT),
        ("merged model in bf16", ROUNDED),
        ("merged, trained in bf16", ROUNDED),
        ("base and adapter, trained in bf16", ROUNDED),
    ],
)
def test_logits_are_those_of_the_lab(world: World, name: str, most: float) -> None:
    apart = world.apart(name)
    print(f"max |Δ logit| of {name}: {apart:.2g} (at most {most:g})")  # noqa: T201
    assert apart <= most


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("reward model", "reward-model"),
        ("reward model, padded", "reward-model"),
        ("mean of heads", "heads-mean"),
        ("one of the heads", "head-2"),
        ("reward model on GPT-2", "gpt2-reward"),
    ],
)
def test_scores_are_those_of_the_lab_on_the_scale_that_the_config_says(world: World, name: str, folder: str) -> None:
    scale = json.loads((world.root / folder / "config.json").read_text())["rlhf_lab"]
    theirs = [(logit - scale["score_mean"]) / scale["score_std"] for logit in world.theirs(name)]
    apart = max((a - b.reshape(a.shape)).abs().max().item() for a, b in zip(world.ours[name], theirs, strict=True))
    print(f"max |Δ score| of {name}: {apart:.2g} (at most {EXACT:g})")  # noqa: T201
    assert apart <= EXACT


def test_a_reward_adapter_brings_its_head(world: World) -> None:
    backbone = Backbone.load(world.root / "tiny", device="cpu")
    assert backbone.width == 32
    trained = Trained.read(
        world.root / "tiny", (world.root / "runs/sft/adapter",), world.root / "runs/reward/adapter", "fp32"
    )
    scale = export.one_head(trained.own, None)[1]
    theirs = [(logit - scale["score_mean"]) / scale["score_std"] for logit in world.theirs("reward adapter")]
    for ours, found in zip(world.ours["reward adapter"], theirs, strict=True):
        # The last token is read where no pad follows: here there is none.
        torch.testing.assert_close(found.reshape(ours.shape), ours, atol=EXACT, rtol=0)


@pytest.mark.parametrize("how", ["adapter", "base", "reward model"])
def test_the_end_is_read_also_where_the_base_pads_with_it(world: World, how: str) -> None:
    scale = json.loads((world.root / "alike-reward/config.json").read_text())["rlhf_lab"]
    name = f"pad is end, {how}"
    for ours, logit in zip(world.ours[name], world.theirs(name), strict=True):
        theirs = (logit - scale["score_mean"]) / scale["score_std"]
        torch.testing.assert_close(theirs.reshape(ours.shape), ours, atol=EXACT, rtol=0)


def test_what_the_adapters_say_differs_from_the_base_they_sit_on(world: World) -> None:
    """Else equal logits would show nothing."""
    assert (world.ours["adapter"][0] - world.ours["joined adapter"][0]).abs().max() > 1
    assert (world.ours["mean of heads"][0] - world.ours["one of the heads"][0]).abs().max() > 0.05


def test_a_merged_model_is_complete_and_names_no_place(world: World) -> None:
    place = world.root / "merged"
    tensors = load_file(place / "model.safetensors")
    assert "lm_head.weight" not in tensors  # tied: it is the embedding
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
    tokenizer = AutoTokenizer.from_pretrained(place)
    assert tokenizer.chat_template
    ends = GenerationConfig.from_pretrained(place)
    assert (ends.eos_token_id, ends.pad_token_id) == (tokenizer.eos_token_id, tokenizer.pad_token_id)
    for file in place.glob("*.json"):
        assert str(world.root) not in file.read_text()


def test_an_adapter_without_a_start_is_kept_as_it_was_stored(world: World) -> None:
    stored, written = world.root / "runs/sft/adapter", world.root / "sft-adapter"
    file = "adapter_model.safetensors"
    assert (written / file).read_bytes() == (stored / file).read_bytes()
    before = json.loads((stored / "adapter_config.json").read_text())
    after = json.loads((written / "adapter_config.json").read_text())
    assert after == before | {"base_model_name_or_path": "tiny"}


def test_the_ranks_add_up(world: World) -> None:
    config = json.loads((world.root / "joined/adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"]) == (5, 5)


def test_a_base_that_was_changed_is_refused(world: World, tmp_path: Path) -> None:
    other = save_model(tmp_path / "other", tiny_llama(len(make_tokenizer()), initializer_range=0.1), make_tokenizer())
    with pytest.raises(LabError, match="trained on other weights"):
        Trained.read(other, (), world.root / "runs/sft/adapter", "fp32")
    with pytest.raises(LabError, match="trained on other weights"):
        Trained.read(world.root / "tiny", (), world.root / "runs/ppo/adapter", "fp32")  # its start is missing


def test_a_head_that_is_not_there_is_refused(world: World) -> None:
    trained = Trained.read(world.root / "tiny", (), world.root / "runs/several/adapter", "fp32")
    with pytest.raises(LabError, match="3 heads; there is no head 4"):
        export.one_head(trained.own, 4)


def test_the_room_that_a_model_needs_is_known_beforehand(world: World) -> None:
    written = (world.root / "merged/model.safetensors").stat().st_size
    assert written - 10_000 < export.model_bytes(world.root / "tiny", "fp32") <= written
    assert export.model_bytes(world.root / "tiny", "bf16") * 2 == export.model_bytes(world.root / "tiny", "fp32")


def test_licences_come_along_also_from_the_cache_of_the_hub_but_no_other_files(tmp_path: Path) -> None:
    cache = tmp_path / "models--a--base"
    model, blobs = cache / "snapshots" / "abc", cache / "blobs"
    for folder in (model, blobs, tmp_path / "out"):
        folder.mkdir(parents=True)
    (blobs / "1").write_text("Do what you like.")
    (tmp_path / "diary").write_text("Dear me")
    (model / "LICENSE").symlink_to(blobs / "1")
    (model / "NOTICE.txt").symlink_to(tmp_path / "diary")
    assert export.copy_licences(model, tmp_path / "out") == ["LICENSE"]
    assert [(file.name, file.read_text()) for file in (tmp_path / "out").iterdir()] == [
        ("LICENSE", "Do what you like.")
    ]
