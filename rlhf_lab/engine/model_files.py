"""The files of a model's folder, before any library reads them: what is there, and what it would cost."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.small_files import read_json
from rlhf_lab.engine import libraries

_READ = {".json", ".jinja", ".txt", ".model", ".safetensors"}
_MOST_TEXT = 128 * 2**20
"""Of one file that is no weights; the largest tokenizers have a quarter of that."""
_MOST = {"layer": 1000, "factor": 10_000, "rotary": 10_000}
"""The largest number in a config whose name holds the word: libraries make lists and tables of that length."""
_MOST_GROWTH = 4096
"""How much longer a tokenizer may make a text; real ones leave it as long as it is."""
_LONGEST_TOKEN = 4096


def check_files(folder: Path) -> None:
    """Raise `LabError` for links that lead elsewhere, for what is no file, and for what is too large to be read."""
    root = root_of(folder)
    for file in _read_files(folder):
        real = Path(os.path.realpath(file))
        if not real.is_relative_to(root):
            raise LabError(
                f"{file.name} in {folder} is a link to a place outside the model's folder. Put the file itself there."
            )
        try:
            found = file.stat()
        except OSError as error:
            raise LabError(f"The model in {folder} is damaged: {file.name}: {error.strerror}.") from None
        if not stat.S_ISREG(found.st_mode):
            raise LabError(f"The model in {folder} is damaged: {file.name} is no file.")
        if file.suffix != ".safetensors" and found.st_size > _MOST_TEXT:
            raise LabError(f"{file.name} in {folder} is larger than {_MOST_TEXT >> 20} MB, and is not read.")


def check_config(config: dict[str, Any], folder: Path) -> None:
    """Raise `LabError` for a config that means a model much larger than its files."""
    for name, value in _numbers(config, ""):
        if any(word in name and not abs(value) <= most for word, most in _MOST.items()):
            raise LabError(f"The model in {folder} cannot be: its config.json has {name} = {str(value)[:20]}.")
    libraries.load()
    from transformers import AutoConfig

    try:
        found = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        meant = _meant(found)
    except Exception as error:  # whatever a library trips over in a stranger's file
        raise LabError(f"The model in {folder} is damaged: config.json: {in_short(error)}.") from None
    there = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    if meant > there:
        raise LabError(
            f"The model in {folder} is damaged: its config.json means more than {meant:,} numbers, and its weights are "
            f"{there:,} bytes. Download the whole model."
        )


def check_tokenizer(folder: Path) -> None:
    """Raise `LabError` for a tokenizer that would make texts grow without bound."""
    file = folder / "tokenizer.json"
    if not file.exists():
        return
    try:
        found = read_json(file, _MOST_TEXT)
        tokens = _tokens(found)
        growth = _growth(found.get("normalizer")) * _growth(found.get("decoder"))
    except (OSError, ValueError, AttributeError, TypeError, KeyError, RecursionError) as error:
        raise LabError(f"The model in {folder} is damaged: {file.name}: {in_short(error)}.") from None
    if growth > _MOST_GROWTH or max(map(len, tokens), default=0) > _LONGEST_TOKEN:
        raise LabError(f"The tokenizer of the model in {folder} would make texts much longer, and is not used.")


def in_short(error: Exception) -> str:
    """The first line of what a library said, without a full stop."""
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return first[:200].rstrip(".")


def _read_files(folder: Path) -> Iterator[Path]:
    """What libraries may open: of the templates there may be a folder."""
    try:
        for file in sorted(folder.iterdir()):
            if file.suffix in _READ:
                yield file
        more = folder / "additional_chat_templates"
        if more.is_dir() or more.is_symlink():
            yield from more.iterdir()
    except OSError as error:
        raise LabError(f"The folder {folder} cannot be read: {error.strerror}.") from None


def root_of(folder: Path) -> Path:
    """The folder; in the hub's cache, where files are links into a folder beside it, that of the whole model."""
    real = Path(os.path.realpath(folder))
    return real.parents[1] if real.parent.name == "snapshots" and real.parents[1].name.startswith("models--") else real


def _numbers(found: Any, name: str) -> Iterator[tuple[str, int | float]]:
    if isinstance(found, dict):
        for key, value in found.items():
            yield from _numbers(value, str(key)[:60])
    elif isinstance(found, list):
        for value in found:
            yield from _numbers(value, "an entry")
    elif isinstance(found, int | float):
        yield name, found


def _meant(config: Any) -> int:
    """Numbers that the model has at the least."""
    text = config.get_text_config()
    width, layers = int(text.hidden_size), int(text.num_hidden_layers)
    heads = int(text.num_attention_heads) + 2 * int(getattr(text, "num_key_value_heads", None) or 1)
    heads *= int(getattr(text, "head_dim", None) or 1)
    inner = int(
        getattr(text, "intermediate_size", None)
        or getattr(text, "ffn_dim", None)
        or getattr(text, "n_inner", None)
        or 0
    )
    learned = int(text.max_position_embeddings) if text.model_type in ("gpt2", "opt") else 0
    embedded = int(getattr(text, "word_embed_proj_dim", None) or width)
    if min(width, layers, heads, embedded, int(text.vocab_size)) < 1:
        raise ValueError("its sizes are not above 0")
    return int(text.vocab_size) * embedded + learned * width + layers * width * (heads + inner)


def _tokens(found: dict[str, Any]) -> list[str]:
    vocabulary = found["model"].get("vocab", {})
    listed = [entry[0] if isinstance(entry, list) else entry for entry in vocabulary]
    added = [token["content"] for token in found.get("added_tokens") or []]
    if not all(isinstance(token, str) for token in (*listed, *added)):
        raise ValueError("its vocabulary holds what is no text")
    return [*listed, *added]


def _growth(part: Any) -> int:
    """How much longer a part of a tokenizer can make a text, at the most."""
    if not isinstance(part, dict):
        return 1
    grown = 1
    for inner in (*(part.get("normalizers") or ()), *(part.get("decoders") or ())):
        grown *= _growth(inner)
    for name in ("content", "prepend"):
        if isinstance(value := part.get(name), str):
            grown *= max(1, len(value))
    return grown
