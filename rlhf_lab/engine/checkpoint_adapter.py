"""The adapter inside a checkpoint: what the run would have left, had it ended at that step."""

from pathlib import Path

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.small_files import read_json
from rlhf_lab.engine import adapters, checkpoint

_A, _B = ".lora_A", ".lora_B"


def is_checkpoint(folder: Path) -> bool:
    """Whether a folder is called as a checkpoint of a run is."""
    return folder.parent.name == "checkpoints" and checkpoint.NAME.fullmatch(folder.name) is not None


def read(folder: Path) -> adapters.Adapter:
    """A trained adapter, or raises `LabError`. Its alpha is what the run's config says: no checkpoint holds it."""
    tensors, state = checkpoint.adapter_tensors(folder)
    names = [name.removesuffix(_A) for name in tensors if name.endswith(_A)]
    try:
        alpha = float(read_json(folder.parent.parent / "config.json", linked=False)["lora_alpha"])
        layers = {name: (tensors[name + _A], tensors[name + _B]) for name in names}
        r = {len(a) if a.ndim == b.ndim == 2 and len(a) == b.shape[1] else 0 for a, b in layers.values()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LabError(f"{folder.name} of {folder.parent.parent.name} cannot be used: {error}.") from None
    if len(r) != 1 or 0 in r:
        raise LabError(
            f"{folder.name} of {folder.parent.parent.name} holds no adapter. Choose a run that trains a model."
        )
    head = (tensors["head.weight"], tensors["head.bias"]) if "head.weight" in tensors else None
    lab = {"base_hash": state.get("base_hash")}
    return adapters.Adapter(r=r.pop(), alpha=alpha, rslora=False, layers=layers, head=head, lab=lab)
