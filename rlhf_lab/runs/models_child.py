"""The models process: ``python -m rlhf_lab.runs.models_child``; see `rlhf_lab.runs.model_work`.

It alone speaks to the hub, and only where the request says so. It is started by module name and imported by nothing but
tests; libraries are imported inside functions, as each request needs few of them.
"""

import fnmatch
import glob
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.model_types import MODEL_TYPES
from rlhf_lab.core.naming import gigabytes
from rlhf_lab.core.out_of_memory import is_out_of_memory
from rlhf_lab.core.redact import without_secrets
from rlhf_lab.core.small_files import read_json
from rlhf_lab.runs import errand_child
from rlhf_lab.runs.disk import disk_use
from rlhf_lab.runs.errand_child import Say
from rlhf_lab.runs.hub import hub_cache, hub_folder
from rlhf_lab.runs.model_work import REQUEST, Check, Download, Import, Look

_INDEX = "model.safetensors.index.json"
_PARTS = (
    _INDEX,
    "config.json",
    "generation_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "chat_template*",
    "LICEN[SC]E*",
    "README.md",
)
"""Files at the top of a model that the lab reads beside its weights; nothing else is fetched."""
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_MARGIN = 200 * 2**20
_MOST_INDEX = 64 * 2**20
_LOOK_S = 0.3
_HUB_ANSWERS_S = 30.0
_AT_ONCE = 4


def meet(line: bytes, say: Say) -> dict[str, Any]:
    """Do what is asked."""
    match REQUEST.validate_json(line):
        case Check() as asked:
            return check(asked, say)
        case Import() as asked:
            return import_gguf(asked, say)
        case Look() as asked:
            return look(asked.model)
        case Download() as asked:
            return download(asked.model, say)


def check(asked: Check, say: Say) -> dict[str, Any]:
    """Each model as a run would be checked, its problem or "" said at once."""
    from rlhf_lab.engine.models import resolve

    for name in asked.models:
        problem = ""
        try:
            resolve(name, asked.models_folder)
        except LabError as error:
            problem = str(error)
        say(kind="checked", name=name, problem=problem)
    return {}


def import_gguf(asked: Import, say: Say) -> dict[str, Any]:
    """Dequantise a file into the project."""
    from rlhf_lab.engine.models import resolve

    steps = ["looking through the file", "loading the libraries", "putting the weights together", "writing", "checking"]

    def tell(what: str) -> None:
        say(kind="progress", what=what, done=steps.index(what), total=len(steps))

    folder = resolve(str(asked.file), asked.models_folder, tell)
    return {"name": str(folder), "bytes": disk_use(folder)}


def look(model: str) -> dict[str, Any]:
    """What a download would fetch, from the hub's own list; raises `LabError` for a model that would be refused."""
    from huggingface_hub import HfApi, hf_hub_download

    # Listing its folder would be tried for 23 seconds before a hub that is not there is said.
    listed = HfApi().model_info(model, files_metadata=True, timeout=_HUB_ANSWERS_S).siblings or []
    files = {entry.rfilename: entry.size or 0 for entry in listed if "/" not in entry.rfilename}
    wanted = {name: size for name, size in files.items() if any(fnmatch.fnmatch(name, part) for part in _PARTS)}
    if not any(fnmatch.fnmatch(name, "model*.safetensors") for name in files):
        pickled = next((name for name in files for part in _PICKLED if fnmatch.fnmatch(name, part)), None)
        why = f" {pickled} is pickled, and such files can run code: they are not loaded." if pickled else ""
        raise LabError(f"{model} has no safetensors.{why} Choose a model with safetensors.")
    if "config.json" not in wanted:
        raise LabError(f"{model} holds no model for transformers: config.json is missing.")
    with tempfile.TemporaryDirectory() as room:
        try:
            config = read_json(Path(hf_hub_download(model, "config.json", local_dir=room)))
        except ValueError:
            config = None
        weights = _indexed(model, Path(hf_hub_download(model, _INDEX, local_dir=room))) if _INDEX in files else []
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind not in MODEL_TYPES:
        raise LabError(
            f"{model} is of type {str(kind)[:60]!r}, which the lab does not load. It loads: {', '.join(sorted(MODEL_TYPES))}."
        )
    if config.get("quantization_config"):
        raise LabError(f"{model} is quantised, and its weights cannot be trained on. Choose the plain safetensors.")
    weights = weights or ["model.safetensors"]
    if missing := [name for name in weights if name not in files]:
        raise LabError(f"{model} lacks {missing[0][:100]}. Choose a model with whole safetensors.")
    wanted |= {name: files[name] for name in weights}
    return {"files": sorted(wanted), "bytes": sum(wanted.values()), "free": _free(), "architecture": kind}


def _indexed(model: str, index: Path) -> list[str]:
    """The weights that are read: others beside them are the same in another form."""
    try:
        return sorted({str(name) for name in read_json(index, _MOST_INDEX)["weight_map"].values()})
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        raise LabError(f"{model} is damaged: {_INDEX} cannot be read. Choose another model.") from None


def download(model: str, say: Say) -> dict[str, Any]:
    """Fetch it into the hub's cache, where a broken-off download goes on."""
    from huggingface_hub import snapshot_download

    from rlhf_lab.engine.models import check as check_folder

    found = look(model)
    place, total = hub_folder(model), found["bytes"]
    if found["free"] < total - disk_use(place) + _MARGIN:
        raise LabError(
            f"{model} needs {gigabytes(total)}, and only {gigabytes(found['free'])} are free on the disk of {place.parent}. "
            "Free some space first."
        )
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_LOOK_S):
            say(
                kind="progress",
                what=f"fetching {len(found['files'])} files",
                done=min(total, disk_use(place)),
                total=total,
            )

    say(kind="progress", what=f"fetching {len(found['files'])} files", done=0, total=total)
    watcher = threading.Thread(target=watch, name="watch", daemon=True)
    watcher.start()
    try:
        folder = snapshot_download(
            model, allow_patterns=[glob.escape(name) for name in found["files"]], max_workers=_AT_ONCE
        )
    finally:
        ended.set()
        watcher.join()
    say(kind="progress", what="checking", done=total, total=total)
    check_folder(Path(folder))
    return {"name": model, "bytes": disk_use(place)}


def in_words(line: bytes, error: Exception) -> str:
    """What went wrong, and what to do."""
    asked = REQUEST.validate_json(line)
    if isinstance(error, LabError):
        return str(error)
    if is_out_of_memory(error):
        return (
            "There is not enough memory: the whole model is put together in it. Close other programs, then try again."
        )
    if isinstance(asked, Look | Download) and (words := _hub_in_words(asked.model, error)):
        return words
    first = without_secrets((str(error).strip() or "no message").splitlines()[0][:300])
    return f"It did not work out ({type(error).__name__}: {first}). The project's models/models.log has the details."


def _hub_in_words(model: str, error: Exception) -> str:
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    where = f"{constants.ENDPOINT}/{model}"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, GatedRepoError):
            return f"{model} asks for consent first: accept its terms at {where}, then log in with: hf auth login"
        if isinstance(cause, RepositoryNotFoundError):
            return f"There is no model {model} on the hub. If it is private, log in with: hf auth login"
        if isinstance(cause, HFValidationError):
            return f"{model} is no name of a model on the hub: it looks like someone/some-model."
        if isinstance(cause, HfHubHTTPError) and cause.response.status_code in (401, 403):
            return (
                f"{where} is not for this machine's token, or that is no longer valid. Log in anew with: hf auth login"
            )
        if isinstance(cause, HfHubHTTPError):
            return f"The hub answered with an error ({cause.response.status_code}). Try again later."
        # httpx is the client that the hub's library happens to use; its errors have no common ancestor with others.
        unreached = isinstance(cause, ConnectionError | TimeoutError | LocalEntryNotFoundError)
        if unreached or type(cause).__module__.startswith("httpx"):
            return f"{constants.ENDPOINT} could not be reached. Look after the network; what was fetched is kept."
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, OSError) and error.errno is not None:
        return f"The download could not be written: {error.strerror}. Free some space, then go on with it."
    return ""


def _free() -> int:
    place = hub_cache()
    return shutil.disk_usage(next(one for one in (place, *place.parents) if one.exists())).free


def main() -> None:
    """See the module."""
    errand_child.serve(meet, in_words)


if __name__ == "__main__":
    main()
