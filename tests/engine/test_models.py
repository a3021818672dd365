import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.model_types import MODEL_TYPES
from rlhf_lab.engine import models
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.batches import pad
from rlhf_lab.engine.pairs import Compared
from rlhf_lab.engine.reward_scores import score_rows, scores
from rlhf_lab.engine.sampler import sample
from tests.engine.conftest import make_tokenizer, perturb, save_model, tiny_llama

ROWS = [[5, 20, 33, 47, 60, 71], [9, 100, 12], [7, 8, 150, 200]]
COMMON = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "bos_token_id": None,
    "eos_token_id": 1,
    "pad_token_id": 0,
    "initializer_range": 0.2,
}
OTHER_NAMES: dict[str, dict[str, Any]] = {
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128, "bos_token_id": 1},
    "gpt_neox": {"num_key_value_heads": None, "head_dim": None},
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 16, "do_layer_norm_before": True, "bos_token_id": 1},
    "phi": {"num_key_value_heads": 4},
    "gemma2": {"sliding_window": 4, "query_pre_attn_scalar": 8, "final_logit_softcapping": 2.0},
    "gemma3_text": {"sliding_window": 4, "query_pre_attn_scalar": 8},
    "mistral": {"sliding_window": 64},
}


def config_of(kind: str, vocabulary: int) -> Any:
    if kind == "gpt2":
        fields = {"eos_token_id": 1, "pad_token_id": 0, "initializer_range": 0.2, **OTHER_NAMES["gpt2"]}
    else:
        fields = {k: v for k, v in {**COMMON, **OTHER_NAMES.get(kind, {})}.items() if v is not None or "token" in k}
    return AutoConfig.for_model(kind, vocab_size=vocabulary, **fields)


@pytest.mark.parametrize("kind", sorted(MODEL_TYPES))
def test_each_model_type_keeps_the_engine_s_promises(kind: str, tmp_path: Path, load: Callable[..., Backbone]) -> None:
    tokenizer = make_tokenizer()
    folder = models.check(save_model(tmp_path / kind, config_of(kind, len(tokenizer)), tokenizer))
    plain = AutoModelForCausalLM.from_pretrained(folder).eval()
    backbone = load(folder)
    alone = [plain(torch.tensor([row])).logits[0] for row in ROWS]
    backbone.add_adapter("policy", r=2, alpha=4, seed=0)
    backbone.add_adapter("reward", r=2, alpha=4, seed=1, head=True)
    perturb(backbone, "reward", 1)
    for side in ("right", "left"):
        ids, mask = pad(ROWS, backbone.pad_id, side)  # type: ignore[arg-type]
        with torch.no_grad():
            found = backbone.logits(backbone.hidden(ids, mask, "policy"))
        for row, valid, expected in zip(found, mask.bool(), alone, strict=True):
            assert torch.allclose(row[valid], expected, atol=2e-4)
    perturb(backbone, "policy", size=0.1)
    policy = backbone.logits(backbone.hidden(*pad([ROWS[0]], 0), "policy"))[0]
    assert not torch.allclose(policy, alone[0], atol=1e-2)
    assert backbone.head("reward", backbone.hidden(*pad(ROWS, 0), "reward")).shape == (3, 6)

    batch = Compared(ROWS, [[30, 31, 1]] * 3, [[40, 41, 42, 43, 1]] * 3, *[torch.zeros(3)] * 4)
    with torch.no_grad():
        together = torch.cat(scores(backbone, batch, [0, 1, 2]))
        rows = [prompt + answer for answer in (batch.chosen[0], batch.rejected[0]) for prompt in ROWS]
        apart = torch.cat([score_rows(backbone, "reward", [row]) for row in rows])
    assert torch.allclose(together, apart, atol=2e-4)

    answers = sample(
        backbone,
        ROWS,
        adapter="policy",
        temperature=0,
        max_new_tokens=4,
        noise=torch.rand(4, len(ROWS), dtype=torch.float64),
        tick=lambda: None,
    )
    for row, answer in zip(ROWS, answers, strict=True):
        states = backbone.hidden(*pad([row + answer], 0), "policy")
        best = backbone.logits(states)[0, len(row) - 1 : -1].argmax(-1)
        assert best.tolist() == answer
    backbone.save_adapter("policy", tmp_path / "adapter", {})
    again = load(folder)
    again.load_adapter("policy", tmp_path / "adapter")
    assert torch.equal(again.logits(again.hidden(*pad([ROWS[0]], 0), "policy"))[0], policy)


def refused(folder: Path) -> str:
    with pytest.raises(LabError) as caught:
        models.check(folder)
    return str(caught.value)


def test_what_is_unsafe_or_no_model_is_refused_in_words(tiny_model: Path, tmp_path: Path) -> None:
    assert "config.json is missing" in refused(tmp_path)
    folder = tmp_path / "model"
    folder.mkdir()
    config = json.loads((tiny_model / "config.json").read_text())

    def put(**changes: Any) -> None:
        (folder / "config.json").write_text(json.dumps(config | changes))

    put()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    assert "pickled" in refused(folder)
    (folder / "model.safetensors").write_bytes((tiny_model / "model.safetensors").read_bytes())
    assert "no tokenizer" in refused(folder)
    (folder / "tokenizer.json").write_bytes((tiny_model / "tokenizer.json").read_bytes())
    assert models.check(folder) == folder
    put(model_type="evil_model", auto_map={"AutoModelForCausalLM": "code.Evil"})
    assert "'evil_model'" in refused(folder)
    put(quantization_config={"quant_method": "bitsandbytes"})
    assert "quantised" in refused(folder)
    (folder / "config.json").write_text("[" * 100_000)
    assert "damaged" in refused(folder)
    put()
    index = {"weight_map": {"a": "../../outside.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "outside its folder" in refused(folder)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "part-2.safetensors"}}))
    assert "lacks part-2.safetensors" in refused(folder)


def test_damaged_weights_are_said_in_words(tiny_model: Path, tmp_path: Path, load: Callable[..., Backbone]) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for file in tiny_model.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "model.safetensors").write_bytes(b"\xff" * 100_000)
    with pytest.raises(LabError, match="could not be loaded"):
        load(models.check(folder))


def test_names_that_mean_nothing_say_what_to_do(tmp_path: Path) -> None:
    for name in ("/no/where", "./none", "none.gguf", "two words"):
        with pytest.raises(LabError, match="There is no model at"):
            models.resolve(name, tmp_path)
    with pytest.raises(LabError, match="rlhf-lab models download someone/some-model"):
        models.resolve("someone/some-model", tmp_path)
    (tmp_path / "text.gguf").write_text("hello")
    with pytest.raises(LabError, match="no GGUF file"):
        models.resolve(str(tmp_path / "text.gguf"), tmp_path)


def test_the_bundled_model_loads(load: Callable[..., Backbone], tmp_path: Path) -> None:
    backbone = load(models.resolve("bundled", tmp_path))
    assert backbone.pad_id != backbone.tokenizer.eos_token_id
    assert backbone.tokenizer.chat_template


def write_gguf(file: Path, folder: Path) -> None:
    """The tiny Llama as a GGUF file, matrices in Q8_0."""
    config = json.loads((folder / "config.json").read_text())
    tokenizer = json.loads((folder / "tokenizer.json").read_text())["model"]
    weights = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(sorted(tokenizer["vocab"], key=tokenizer["vocab"].get))
    writer.add_token_types(
        [gguf.TokenType.CONTROL if i < 5 else gguf.TokenType.NORMAL for i in range(config["vocab_size"])]
    )
    writer.add_token_merges([" ".join(merge) for merge in tokenizer["merges"]])
    writer.add_eos_token_id(1)
    writer.add_pad_token_id(0)
    writer.add_bos_token_id(3)
    writer.add_add_bos_token(False)
    writer.add_chat_template((folder / "chat_template.jinja").read_text())
    names = {
        "model.embed_tokens": "token_embd",
        "model.norm": "output_norm",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
    }
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    for name, tensor in weights.items():
        if name == "lm_head.weight":
            continue
        values = tensor.float().numpy()
        for part, count in heads.items():
            if f"{part}." in name:  # GGUF interleaves the halves of a rotary head
                rows = values.shape[0] // count // 2
                values = values.reshape(count, 2, rows, values.shape[1]).swapaxes(1, 2).reshape(values.shape)
        stem = name.removesuffix(".weight").replace("model.layers.", "blk.")
        for ours, theirs in names.items():
            stem = stem.replace(ours, theirs)
        kind = gguf.GGMLQuantizationType.Q8_0 if values.ndim == 2 else gguf.GGMLQuantizationType.F32
        data = gguf.quants.quantize(np.ascontiguousarray(values), kind)
        writer.add_tensor(f"{stem}.weight", data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_gguf_file_is_dequantised_once_and_trains_like_any_model(
    tmp_path: Path, load: Callable[..., Backbone]
) -> None:
    tokenizer = make_tokenizer()
    # Q8_0 quantises 32 numbers at a time.
    source = save_model(tmp_path / "source", tiny_llama(len(tokenizer), intermediate_size=64, head_dim=8), tokenizer)
    write_gguf(tmp_path / "tiny.gguf", source)
    folder = models.resolve(str(tmp_path / "tiny.gguf"), tmp_path / "models")
    assert folder.parent == tmp_path / "models"
    assert "quantization_config" not in json.loads((folder / "config.json").read_text())
    written = (folder / "model.safetensors").stat().st_mtime_ns
    assert models.resolve(str(tmp_path / "tiny.gguf"), tmp_path / "models") == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == written
    backbone, plain = load(folder), load(source)
    assert backbone.dtype == torch.float32
    text = "<|user|>What is tea?<|end|><|assistant|>"
    assert backbone.tokenizer.encode(text, add_special_tokens=False) == tokenizer.encode(text)
    assert backbone.tokenizer.eos_token_id == 1
    ids, mask = pad(ROWS, 0)
    difference = backbone.hidden(ids, mask, None) - plain.hidden(ids, mask, None)
    assert difference[mask.bool()].abs().mean() < 0.02
