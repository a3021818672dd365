"""Hostile models, tokenizers and GGUF files, each one change to a tiny model that is fine."""

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.hostile.case import MARK, Case, Place
from tests.hostile.files import PICKLE

Change = Callable[[Path, Place], object]


def _copied(place: Place) -> Path:
    assert place.model is not None
    folder = place.folder / "model"
    folder.mkdir()
    for found in place.model.iterdir():
        (folder / found.name).write_bytes(found.read_bytes())
    return folder


def _changed(change: Change) -> Callable[[Place], Path]:
    def make(place: Place) -> Path:
        folder = _copied(place)
        change(folder, place)
        return folder

    return make


def _json(name: str, **changes: Any) -> Change:
    def change(folder: Path, place: Place) -> None:
        found = json.loads((folder / name).read_text())
        for key, value in changes.items():
            found[key] = value(place) if callable(value) else value
        (folder / name).write_text(json.dumps(found))

    return change


def config(**changes: Any) -> Change:
    """Other values in ``config.json``."""
    return _json("config.json", **changes)


def _raw(name: str, content: bytes) -> Change:
    return lambda folder, place: (folder / name).write_bytes(content)


def _instead(name: str, how: Callable[[Path, Place], object]) -> Change:
    def change(folder: Path, place: Place) -> None:
        (folder / name).unlink(missing_ok=True)
        how(folder / name, place)

    return change


def _code(folder: Path, place: Place) -> None:
    """Code beside the model, and everything that could make a library run it."""
    for name in ("modeling_evil", "configuration_evil", "tokenization_evil", "conftest", "torch", "numpy"):
        (folder / f"{name}.py").write_text(place.code)
    evil = {"AutoConfig": "configuration_evil.E", "AutoModelForCausalLM": "modeling_evil.E"}
    config(auto_map=evil, architectures=["E"], trust_remote_code=True)(folder, place)
    _json("tokenizer_config.json", auto_map={"AutoTokenizer": ["tokenization_evil.E", "tokenization_evil.E"]})(
        folder, place
    )


def _safetensors(header: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + data


def _pickled(folder: Path, place: Place) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(PICKLE)


def _beside(folder: Path, place: Place) -> None:
    """An adapter in the model's folder, which transformers would load unasked."""
    (folder / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "base_model_name_or_path": str(place.outside)})
    )
    (folder / "adapter_model.bin").write_bytes(PICKLE)


def _index(weights: Any) -> Change:
    def change(folder: Path, place: Place) -> None:
        (folder / "model.safetensors").rename(folder / "part.safetensors")
        (folder / "model.safetensors.index.json").write_text(json.dumps(weights))

    return change


def _tokenizer(edit: Callable[[dict[str, Any]], object]) -> Change:
    def change(folder: Path, place: Place) -> None:
        found = json.loads((folder / "tokenizer.json").read_text())
        edit(found)
        (folder / "tokenizer.json").write_text(json.dumps(found))

    return change


def _replace(pattern: str, content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"String": pattern}, "content": content}


DAMAGED = "is damaged|could not be loaded|cannot be"
ANSWERED = "^answered"
MODELS: dict[str, tuple[str, Change]] = {
    "a pickle for weights": ("pickled", _pickled),
    "a pickle called safetensors": (DAMAGED, _raw("model.safetensors", PICKLE * 2000)),
    "an adapter beside it": ("holds an adapter", _beside),
    "code beside it": (ANSWERED, _code),
    "another kind of model": ("of type 'evil'", config(model_type="evil", auto_map={"AutoModelForCausalLM": "x.E"})),
    "a kind of model that is a list": ("of type", config(model_type=["llama"])),
    "a kind of model that is a megabyte": ("of type", config(model_type="x" * 2**20)),
    "a kernel of the hub for attention": (ANSWERED, config(_attn_implementation="evil/kernel", attn_implementation="evil/kernel")),
    "an activation that is code": (DAMAGED + "|KeyError", config(hidden_act=f"__import__('os').system('{MARK}')")),
    "a number type that is code": (".*", config(dtype=f"float32;{MARK}", torch_dtype="os.system")),
    "quantised by a stranger": ("quantised", config(quantization_config={"quant_method": "evil", "modules": ["os"]})),
    "a billion layers": ("cannot be", config(num_hidden_layers=10**9)),
    "900 layers": ("means more than|damaged", config(num_hidden_layers=900)),
    "a vocabulary of a billion": ("means more than", config(vocab_size=10**9)),
    "a width of a billion": (DAMAGED, config(hidden_size=10**9)),
    "a width of 0": (DAMAGED, config(hidden_size=0)),
    "a width below 0": (DAMAGED, config(hidden_size=-32)),
    "a billion heads": (DAMAGED, config(num_attention_heads=10**9)),
    "0 heads": (DAMAGED, config(num_attention_heads=0)),
    "a billion heads for keys": (DAMAGED, config(num_key_value_heads=10**9)),
    "a rotation of a billion": ("cannot be|damaged|^answered", config(partial_rotary_factor=1e12)),
    "a stretch that is not a number": (".*", config(rope_scaling={"rope_type": "yarn", "factor": float("nan")})),
    "sizes that are texts": (DAMAGED, config(hidden_size="32; import os")),
    "sizes that are lists": (DAMAGED, config(num_hidden_layers=[2], hidden_size={})),
    "lengths that are texts": (".*", config(max_position_embeddings="many")),
    "a config that is a list": ("no JSON object", _raw("config.json", b"[1]")),
    "a config 100,000 deep": ("damaged", _raw("config.json", b"[" * 100_000)),
    "a config of 20 MB": ("larger than", _raw("config.json", b'{"a": "' + b"x" * (20 * 2**20) + b'"}')),
    "a config that is a pipe": ("no file|no regular", _instead("config.json", lambda path, place: os.mkfifo(path))),
    "a config that is a folder": ("no file", _instead("config.json", lambda path, place: path.mkdir())),
    "a config that is a link outside": ("link to a place outside", _instead("config.json", lambda path, place: path.symlink_to(place.secret))),
    "a template that is a link outside": (
        "link to a place outside",
        _instead("chat_template.jinja", lambda path, place: path.symlink_to(place.secret)),
    ),
    "weights that are a link outside": (
        "link to a place outside",
        _instead("model.safetensors", lambda path, place: path.symlink_to(place.secret)),
    ),
    "weights that are a device": (
        "link to a place outside",
        _instead("model.safetensors", lambda path, place: path.symlink_to("/dev/zero")),
    ),
    "weights that are a pipe": ("no file", _instead("model.safetensors", lambda path, place: os.mkfifo(path))),
    "weights that are nothing": (DAMAGED, _raw("model.safetensors", b"")),
    "weights with a header of 2^63 bytes": (DAMAGED, _raw("model.safetensors", b"\xff" * 7 + b"\x7f" + bytes(200_000))),
    "weights with a header that is no JSON": (DAMAGED, _raw("model.safetensors", _safetensors(b"{" * 1000, bytes(200_000)))),
    "weights that overlap": (
        DAMAGED,
        _raw("model.safetensors", _safetensors(
            b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"b":{"dtype":"F32","shape":[4],"data_offsets":[8,24]}}', bytes(200_000))),
    ),
    "weights of 2^62 numbers": (
        DAMAGED,
        _raw("model.safetensors", _safetensors(b'{"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,16]}}', bytes(200_000))),
    ),
    "weights with another model's names": (
        ".*",
        _raw("model.safetensors", _safetensors(b'{"evil.weight":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}', bytes(16)) + b""),
    ),
    "an index that leaves the folder": ("outside its folder", _index({"weight_map": {"a": "../../outside/secret.txt"}})),
    "an index with a whole path": ("outside its folder", _index({"weight_map": {"a": "/etc/passwd"}})),
    "an index that is a list": ("cannot be read", _index([1])),
    "an index of numbers": ("lacks", _index({"weight_map": {"a": 5}})),
    "an index without weights": ("cannot be read", _index({"weight_map": [1]})),
    "a tokenizer that is a pickle": (DAMAGED, _raw("tokenizer.json", PICKLE)),
    "a tokenizer that is a list": (DAMAGED, _raw("tokenizer.json", b"[]")),
    "a tokenizer without a vocabulary": (DAMAGED, _tokenizer(lambda found: found["model"].pop("vocab"))),
    "a tokenizer with numbers for tokens": (DAMAGED, _tokenizer(lambda found: found["added_tokens"].append({"id": 1, "content": 5}))),
    "a tokenizer with a token of a megabyte": (
        "much longer",
        _tokenizer(lambda found: found["added_tokens"].append({**found["added_tokens"][0], "id": 299, "content": "x" * 2**20})),
    ),
    "a tokenizer that doubles a text 60 times": (
        "much longer",
        _tokenizer(lambda found: found.update(normalizer={"type": "Sequence", "normalizers": [_replace("a", "aa")] * 60})),
    ),
    "a tokenizer that writes a megabyte for a letter": (
        "much longer", _tokenizer(lambda found: found.update(normalizer=_replace("a", "x" * 2**20))),
    ),
    "a tokenizer that shows a megabyte for a letter": (
        "much longer", _tokenizer(lambda found: found.update(decoder=_replace("a", "x" * 2**20))),
    ),
    "a tokenizer with a pattern that never ends": (
        "broke down",
        _tokenizer(lambda found: found.update(pre_tokenizer={
            "type": "Split", "pattern": {"Regex": "(x+x+)+y"}, "behavior": "Isolated", "invert": False})),
    ),
    "a tokenizer with ids beyond the vocabulary": (
        ".*",
        _tokenizer(lambda found: found["added_tokens"].append({**found["added_tokens"][0], "id": 2**31 - 1, "content": "What"})),
    ),
    "a tokenizer in a file elsewhere": (
        ".*",
        _json("tokenizer_config.json", tokenizer_file=lambda place: str(place.secret), vocab_file=lambda place: str(place.secret),
              chat_template_file=lambda place: str(place.secret)),
    ),
    "a tokenizer of another class": (".*", _json("tokenizer_config.json", tokenizer_class="os.system")),
    "a tokenizer of SentencePiece that is a pickle": (
        ".*",
        lambda folder, place: (
            (folder / "tokenizer.json").unlink(),
            (folder / "tokenizer.model").write_bytes(PICKLE),
            _json("tokenizer_config.json", tokenizer_class="LlamaTokenizer")(folder, place),
        ),
    ),
    "a generation config with code": (
        ANSWERED,
        _raw("generation_config.json", json.dumps({"custom_generate": "evil/repo", "eos_token_id": [10**9], "_from_model_config": 1}).encode()),
    ),
    "no end token": (ANSWERED, _json("tokenizer_config.json", eos_token=None)),
    "a folder of templates outside": (
        "link to a place outside",
        lambda folder, place: (
            (folder / "additional_chat_templates").mkdir(),
            (folder / "additional_chat_templates" / "x.jinja").symlink_to(place.secret),
        ),
    ),
}  # fmt: skip


def _gguf(
    entries: list[bytes], tensors: list[bytes] = (), *, counts: tuple[int, int] | None = None, end: bytes = b""
) -> bytes:  # type: ignore[assignment]
    many = counts or (len(tensors), len(entries))
    return b"GGUF" + struct.pack("<IQQ", 3, *many) + b"".join(entries) + b"".join(tensors) + end


def _text(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def _entry(name: bytes, kind: int, value: bytes) -> bytes:
    return _text(name) + struct.pack("<I", kind) + value


def _tensor(name: bytes, shape: list[int]) -> bytes:
    return _text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, 0)


KIND = _entry(b"general.architecture", 8, _text(b"llama"))
LIES = "header is damaged"
GGUFS = {
    "nothing after the mark": (b"GGUF", LIES),
    "of version 2^32": (b"GGUF" + b"\xff" * 4 + bytes(100), "of version"),
    "2^60 settings": (_gguf([KIND], counts=(0, 2**60)), "settings"),
    "2^60 tensors": (_gguf([KIND], counts=(2**60, 1)), "tensors"),
    "a text of 2^60 bytes": (_gguf([struct.pack("<Q", 2**60)], counts=(0, 1)), "beyond the end"),
    "a list of 2^62 numbers": (_gguf([KIND, _entry(b"x", 9, struct.pack("<IQ", 4, 2**62))]), "a list of"),
    "a list of 2^62 texts": (_gguf([KIND, _entry(b"x", 9, struct.pack("<IQ", 8, 2**62))]), "a list of"),
    "lists in lists": (_gguf([KIND, _entry(b"x", 9, struct.pack("<IQ", 9, 10))]), "list of lists"),
    "a value of an unknown kind": (_gguf([KIND, _entry(b"x", 99, bytes(8))]), "unknown kind"),
    "a name that is not UTF-8": (_gguf([_entry(b"\xff\xfe", 4, bytes(4))]), LIES),
    "no kind of model": (_gguf([_entry(b"x", 4, bytes(4))]), "does not say what it is"),
    "a billion blocks": (
        _gguf([KIND, _entry(b"llama.block_count", 4, struct.pack("<I", 10**9))], [_tensor(b"a", [4])]),
        "fewer tensors than blocks",
    ),
    "blocks that are a text": (_gguf([KIND, _entry(b"llama.block_count", 8, _text(b"2"))], [_tensor(b"a", [4])]), LIES),
    "a width that no tensor has": (
        _gguf([KIND, _entry(b"llama.block_count", 4, struct.pack("<I", 1)),
               _entry(b"llama.embedding_length", 4, struct.pack("<I", 10**9))], [_tensor(b"a", [4])]),
        "as wide as",
    ),
    "a tensor of 2^60 numbers": (_gguf([KIND], [_tensor(b"a", [2**60])]), "larger than the file"),
    "a tensor of 2^32 dimensions": (_gguf([KIND], [_text(b"a") + b"\xff" * 4]), "dimensions"),
    "a kind that the lab does not know": (
        _gguf([_entry(b"general.architecture", 8, _text(b"evil")), _entry(b"evil.block_count", 4, struct.pack("<I", 1))],
              [_tensor(b"a", [4])], end=bytes(64)),
        "could not be read|does not load",
    ),
    "a vocabulary that is missing": (
        _gguf([KIND, _entry(b"llama.block_count", 4, struct.pack("<I", 1))], [_tensor(b"token_embd.weight", [4, 4])], end=bytes(256)),
        "could not be read",
    ),
    "a pickle": (b"GGUF" + PICKLE * 10, LIES + "|of version"),
}  # fmt: skip

PATHS: dict[str, tuple[str, Callable[[Place], str]]] = {
    "a device": ("no model at|no GGUF", lambda place: "/dev/zero"),
    "somebody's file": ("no GGUF", lambda place: str(place.folder / "notes.txt")),
    "a web address": ("There is no|no model", lambda place: "http://127.0.0.1:9/model"),
    "a share": ("There is no|no model", lambda place: "\\\\127.0.0.1\\share"),
    "a hub id that climbs": ("There is no|no model", lambda place: "evil/../../outside"),
    "a line end": ("There is no|no model", lambda place: "x\ny"),
    "10,000 letters": ("There is no|no model", lambda place: "x" * 10_000),
    "a NUL": ("There is no|no model", lambda place: "x\0y"),
    "nothing": (".+", lambda place: ""),
}


def _file(name: str, content: bytes) -> Callable[[Place], Path]:
    def make(place: Place) -> Path:
        (place.folder / name).write_bytes(content)
        return place.folder / name

    return make


def _path(make: Callable[[Place], str]) -> Callable[[Place], str]:
    def written(place: Place) -> str:
        (place.folder / "notes.txt").write_text("notes")
        return make(place)

    return written


def cases() -> list[Case]:
    """All of them."""
    found = [Case(f"model: {name}", words, _changed(change)) for name, (words, change) in MODELS.items()]
    found += [Case(f"GGUF: {name}", words, _file("m.gguf", content)) for name, (content, words) in GGUFS.items()]
    return found + [Case(f"model's name: {name}", words, _path(make)) for name, (words, make) in PATHS.items()]
