"""Which folder a model's name means, and whether it is safe to load.

A name is "bundled", a folder, a .gguf file or a hub id. Nothing is downloaded. Only safetensors are read,
never pickles; code that comes with a model is never run, and only model types on a list are loaded.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.model_types import MODEL_TYPES
from rlhf_lab.core.resources import resource
from rlhf_lab.core.small_files import read_json
from rlhf_lab.engine import disk, gguf_file, libraries
from rlhf_lab.engine.model_files import check_config, check_files, check_tokenizer, in_short

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{,95}(/[A-Za-z0-9][\w.-]{,95})?")
_GGUF_MAGIC = b"GGUF"
_MOST_INDEX = 64 * 2**20
_LONGEST_SHOWN = 1000
_MARGIN = 64 * 2**20


def resolve(name: str, models_folder: Path, say: Callable[[str], object] = lambda what: None) -> Path:
    """The checked local folder that ``name`` means; raises `LabError` in words.

    A .gguf file is dequantised once into ``models_folder``, in fp32; ``say`` hears what is being done for it.
    """
    if name == "bundled":
        return check(_bundled())
    path = Path(os.path.expanduser(name))  # noqa: PTH111 - as below
    if os.path.isdir(path):  # noqa: PTH112 - which does not raise for names that no file can have
        return check(path)
    if os.path.isfile(path):  # noqa: PTH113
        return _from_gguf(path, models_folder, say)
    if path.is_absolute() or name.startswith((".", "~")) or path.suffix == ".gguf" or not _HUB_ID.fullmatch(name):
        raise LabError(
            f"There is no model at {str(path)[:_LONGEST_SHOWN]}. Choose a folder with safetensors or a .gguf file."
        )
    return check(_from_cache(name))


def check(folder: Path) -> Path:
    """The folder itself, when it holds a model that the lab loads; raises `LabError` else."""
    check_files(folder)
    config = _config(folder)
    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in MODEL_TYPES:
        raise LabError(
            f"The model in {folder} is of type {str(kind)[:60]!r}, which the lab does not load. "
            f"It loads: {', '.join(sorted(MODEL_TYPES))}."
        )
    if config.get("quantization_config"):
        raise LabError(
            f"The model in {folder} is quantised, and its weights cannot be trained on. "
            "Choose the plain safetensors of the same model, or a .gguf file."
        )
    _check_weights(folder)
    if not any((folder / file).exists() for file in ("tokenizer.json", "tokenizer_config.json")):
        raise LabError(f"The model in {folder} has no tokenizer: tokenizer.json is missing. Download the whole model.")
    check_config(config, folder)
    check_tokenizer(folder)
    return folder


def _bundled() -> Path:
    try:
        return resource("model")
    except FileNotFoundError as error:
        raise LabError(f"The bundled model is missing: {error}") from None


def _config(folder: Path) -> dict[str, Any]:
    if (folder / "adapter_config.json").exists():
        # Beside a model, transformers would load it unasked, and from a pickle if that is all there is.
        raise LabError(f"{folder} holds an adapter, not only a model. Choose the model that the adapter was made for.")
    try:
        config = read_json(folder / "config.json")
    except FileNotFoundError:
        raise LabError(f"{folder} holds no model: config.json is missing. Choose a folder with safetensors.") from None
    except (OSError, ValueError) as error:
        raise LabError(f"The model in {folder} is damaged: config.json: {in_short(error)}.") from None
    if not isinstance(config, dict):
        raise LabError(f"The model in {folder} is damaged: config.json is no JSON object.")
    return config


def _check_weights(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    if index.exists():
        try:
            files = sorted({str(file) for file in read_json(index, _MOST_INDEX)["weight_map"].values()})
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            raise LabError(f"The model in {folder} is damaged: {index.name} cannot be read.") from None
        outside = [file for file in files if Path(file).name != file]
        if outside:
            raise LabError(
                f"The model in {folder} names files outside its folder ({outside[0][:100]}) and is not loaded."
            )
    else:
        files = ["model.safetensors"]
    missing = [file for file in files if not (folder / file).exists()]
    if not missing:
        return
    pickled = next((p.name for pattern in ("*.bin", "*.pt", "*.pth") for p in sorted(folder.glob(pattern))), None)
    why = f" {pickled} is pickled, and such files can run code: they are not loaded." if pickled else ""
    raise LabError(f"The model in {folder} lacks {missing[0][:100]}.{why} Choose a model with safetensors.")


def _from_cache(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, HfHubHTTPError) as error:
        # Some files of the repository are not here, and the lab needs few of them: `check` tells which are missing.
        if partial := getattr(error, "snapshot_path", None):
            return Path(partial)
        raise LabError(
            f'There is no folder "{name}", and no hub model of that name on this machine. '
            f"The lab downloads nothing by itself; to fetch it once: rlhf-lab models download {name}"
        ) from None


def _from_gguf(file: Path, models_folder: Path, say: Callable[[str], object]) -> Path:
    say("looking through the file")
    try:
        with file.open("rb") as opened:
            magic = opened.read(4)
            opened.seek(0)
            digest = hashlib.file_digest(opened, "sha256").hexdigest() if magic == _GGUF_MAGIC else ""
    except OSError as error:
        raise LabError(f"The model file {file} could not be read: {error.strerror}.") from None
    if magic != _GGUF_MAGIC:
        raise LabError(f"{file} is no GGUF file. Choose a .gguf file or a folder with safetensors.")
    numbers = gguf_file.check(file)
    folder = models_folder / f"{file.stem}-{digest[:12]}"
    if not (folder / "config.json").exists():
        _require_room(models_folder, 4 * numbers, file)
        _dequantise(file, folder, say)
    say("checking")
    return check(folder)


def _require_room(place: Path, needed: int, file: Path) -> None:
    free = shutil.disk_usage(next(one for one in (place, *place.parents) if one.exists())).free
    if free < needed + _MARGIN:
        raise LabError(
            f"{file.name} becomes {needed >> 20:,} MB in fp32, and only {free >> 20:,} MB are free on the disk of {place}. "
            "Free some space first."
        )


def _dequantise(file: Path, folder: Path, say: Callable[[str], object]) -> None:
    # Late: reading a GGUF file is rare, and the package is an extra.
    try:
        import gguf  # noqa: F401
    except ImportError:
        raise LabError("Reading a .gguf file needs one more package: pip install 'rlhf-lab[gguf]'") from None
    say("loading the libraries")
    libraries.load()
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    where = {"pretrained_model_name_or_path": file.parent, "gguf_file": file.name, "local_files_only": True}
    try:
        kind = AutoConfig.from_pretrained(**where).model_type
        if kind not in MODEL_TYPES:
            raise LabError(f"The model in {file} is of type {kind!r}, which the lab does not load.")
        say("putting the weights together")
        tokenizer = AutoTokenizer.from_pretrained(**where)
        model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    except LabError:
        raise
    except Exception as error:  # whatever a library trips over in a stranger's file
        raise LabError(f"The model in {file} could not be read: {in_short(error)}.") from None
    # The weights are plain numbers now, but transformers 5 keeps the mark of quantised ones and would not save them.
    model.hf_quantizer = None
    del model.config.quantization_config
    say("writing")
    try:
        fresh = disk.fresh_beside(folder)
        model.save_pretrained(fresh)
        tokenizer.save_pretrained(fresh)
        disk.replace(fresh, folder)
    except OSError as error:
        raise LabError(f"The model could not be written to {folder}: {error.strerror}. Make room there.") from None
