"""Models that are checked, imported and fetched in a process of their own; the hub is one of this machine."""

import json
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub.errors import HfHubHTTPError

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.resources import resource
from rlhf_lab.runs import host
from rlhf_lab.runs.hub import hub_folder
from rlhf_lab.runs.model_work import ModelWorkCancelled, check_models, download, hub_id, import_gguf, look
from rlhf_lab.runs.models_child import in_words
from rlhf_lab.runs.plan import model_reasons
from tests.fake_hub import FakeHub

MODEL = "someone/some-model"
TOKEN = "hf_" + "q" * 30


def real_files() -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in resource("model").iterdir() if file.is_file()}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    """The bundled model under another name, beside files that the lab has no use for."""
    others = {"onnx/model.onnx": b"graph", "pytorch_model.bin": b"pickle", "model.fp16.safetensors": b"half"}
    whole = real_files() | others | {"README.md": b"# A model"}
    config = b'{"model_type": "sorcerer"}'
    repositories = {
        MODEL: whole,
        "someone/strange": {"config.json": config, "model.safetensors": b"", "tokenizer.json": b"{}"},
        "someone/pickled": {"config.json": b'{"model_type": "llama"}', "pytorch_model.bin": b"pickle"},
        "someone/gated": whole,
    }
    with FakeHub(repositories, gated=frozenset({"someone/gated"})) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.address)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        yield served


def test_a_model_is_looked_up_then_fetched_in_two_goes_and_then_it_is_there(hub: FakeHub, tmp_path: Path) -> None:
    offered = look(MODEL, tmp_path)
    wanted = {name for name in real_files() if name != "LICENSE"}
    assert offered.files >= len(wanted)
    assert offered.architecture == "llama"
    assert not hub_folder(MODEL).exists()  # a look leaves nothing
    assert model_reasons(MODEL)

    hub.hold = threading.Event()
    heard: list[tuple[str, int, int]] = []

    def cancelled() -> bool:
        return any(done for _, done, _ in heard)

    with pytest.raises(ModelWorkCancelled, match="goes on from there"):
        download(MODEL, tmp_path, progress=lambda *said: heard.append(said), cancelled=cancelled)
    assert heard[0][1:] == (0, offered.bytes)
    assert "downloaded only in part" in "".join(model_reasons(MODEL))

    hub.hold.set()
    hub.hold = None
    assert download(MODEL, tmp_path, progress=lambda *said: heard.append(said)) == MODEL
    assert model_reasons(MODEL) == []
    snapshot = next((hub_folder(MODEL) / "snapshots").iterdir())
    fetched = {file.name for file in snapshot.rglob("*")}
    assert "model.safetensors" in fetched
    assert not fetched & {"pytorch_model.bin", "model.fp16.safetensors", "model.onnx", "onnx"}
    assert not [path for _, path in hub.asked if path.endswith((".bin", ".onnx")) or "fp16" in path]
    assert heard[-1] == ("checking", offered.bytes, offered.bytes)

    asked = len(hub.asked)
    problems: dict[str, str] = {}
    check_models([MODEL], tmp_path, problems.__setitem__)
    assert problems == {MODEL: ""}  # though files of its repository are not here
    assert len(hub.asked) == asked  # and nobody was asked for that


def test_weights_in_another_form_beside_those_that_are_read_are_not_counted(hub: FakeHub, tmp_path: Path) -> None:
    whole = real_files()
    shard, index = "model-00001-of-00001.safetensors", "model.safetensors.index.json"
    tensors = {"weight_map": {"a": shard}}
    sharded = {name: content for name, content in whole.items() if name != "model.safetensors"}
    sharded |= {shard: whole["model.safetensors"], index: json.dumps(tensors).encode()}
    hub.repositories = {
        "someone/plain": whole,
        "someone/whole": whole | {"model.fp16.safetensors": b"half"},
        "someone/sharded": sharded
        | {"model.fp16-00001-of-00001.safetensors": b"half", "model.fp16.safetensors": b"half"},
        "someone/damaged": sharded | {index: b"no"},
        "someone/outside": sharded | {index: b'{"weight_map": {"a": "../../elsewhere"}}'},
    }
    plain, whole_too, in_shards = (look(f"someone/{name}", tmp_path) for name in ("plain", "whole", "sharded"))
    assert (whole_too.files, whole_too.bytes) == (plain.files, plain.bytes)
    assert (in_shards.files, in_shards.bytes) == (plain.files + 1, plain.bytes + len(sharded[index]))
    with pytest.raises(LabError, match=r"someone/damaged is damaged: model\.safetensors\.index\.json cannot be read"):
        look("someone/damaged", tmp_path)
    with pytest.raises(LabError, match=r"someone/outside lacks \.\./\.\./elsewhere"):
        look("someone/outside", tmp_path)


def test_a_token_goes_to_the_hub_and_nowhere_else(hub: FakeHub, tmp_path: Path) -> None:
    look(MODEL, tmp_path)
    assert f"Bearer {TOKEN}" in hub.tokens
    failing = (sys.executable, "-c", f"import sys; sys.exit('{TOKEN}')")
    with pytest.raises(LabError) as caught:
        download("someone/gated", tmp_path)
    assert "accept its terms" in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert TOKEN not in (tmp_path / "models.log").read_text()
    with pytest.raises(LabError, match="ended with status 1") as caught:
        download(MODEL, tmp_path, entry=failing)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("someone/strange", "is of type 'sorcerer', which the lab does not load"),
        ("someone/pickled", r"has no safetensors. pytorch_model.bin is pickled"),
        ("someone/nobody", "There is no model someone/nobody on the hub"),
        ("../../etc", "is no name of a model on the hub"),
        ("bundled", "is no name of a model on the hub"),
    ],
)
def test_what_would_be_refused_is_refused_before_its_weights_are_fetched(
    hub: FakeHub, tmp_path: Path, name: str, words: str
) -> None:
    with pytest.raises(LabError, match=words):
        download(name, tmp_path)
    assert not [path for _, path in hub.asked if path.endswith((".safetensors", ".bin"))]


def test_a_hub_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(LabError, match=r"http://127\.0\.0\.1:9 could not be reached"):
        look(MODEL, tmp_path)


@pytest.mark.parametrize(("status", "words"), [(401, "hf auth login"), (403, "hf auth login"), (500, "an error (500)")])
def test_what_the_hub_refuses_is_said(status: int, words: str) -> None:
    error = HfHubHTTPError(f"token {TOKEN}", response=SimpleNamespace(status_code=status, headers={}, request=None))
    said = in_words(b'{"op": "look", "model": "a/b"}', error)
    assert words in said
    assert TOKEN not in said


def test_all_other_processes_are_offline_and_have_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_DEBUG", "1")
    assert host.child_environment()["HF_HUB_OFFLINE"] == "1"
    assert "HF_TOKEN" not in host.child_environment()
    assert host.online_environment()["HF_HUB_OFFLINE"] == "0"
    assert host.online_environment()["HF_TOKEN"] == TOKEN
    assert "HF_DEBUG" not in host.online_environment()
    assert os.environ["HF_HUB_OFFLINE"] == "1"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("someone/some-model", MODEL),
        (" https://huggingface.co/someone/some-model/tree/main ", MODEL),
        ("https://hf.co/someone/some-model", MODEL),
    ],
)
def test_a_name_or_the_address_of_its_page(text: str, name: str) -> None:
    assert hub_id(text) == name


@pytest.mark.usefixtures("warm_children")
def test_models_are_checked_one_by_one(tmp_path: Path, model: str) -> None:
    problems: dict[str, str] = {}
    check_models(["bundled", model], tmp_path, problems.__setitem__)
    assert problems["bundled"] == ""
    assert "is of type 'None', which the lab does not load" in problems[model]


@pytest.mark.usefixtures("warm_children")
def test_a_gguf_file_is_imported(tmp_path: Path) -> None:
    from tests.engine.conftest import make_tokenizer, save_model, tiny_llama
    from tests.engine.test_models import write_gguf

    tokenizer = make_tokenizer()
    source = save_model(tmp_path / "source", tiny_llama(len(tokenizer), intermediate_size=64, head_dim=8), tokenizer)
    write_gguf(tmp_path / "tiny.gguf", source)
    models = tmp_path / "models"
    models.mkdir()
    heard: list[tuple[str, int, int]] = []
    name = import_gguf(tmp_path / "tiny.gguf", models, progress=lambda *said: heard.append(said))
    assert Path(name).parent == models
    assert next(what for what, _, _ in heard) == "looking through the file"
    assert [done for _, done, _ in heard] == sorted(done for _, done, _ in heard)
    (tmp_path / "text.gguf").write_text("no model")
    with pytest.raises(LabError, match="is no GGUF file"):
        import_gguf(tmp_path / "text.gguf", models)


def test_a_cancelled_import_leaves_nothing(tmp_path: Path) -> None:
    half = tmp_path / ".tiny-0123456789ab.new"
    others = [tmp_path / f".tiny-{name}.new" for name in ("ba9876543210", "big-0123456789ab")]
    for other in others:
        other.mkdir()
    code = f'import os, time; os.mkdir({str(half)!r}); print(\'{{"kind": "progress", "what": "writing", "done": 3, "total": 5}}\', flush=True); time.sleep(60)'
    heard: list[str] = []
    with pytest.raises(ModelWorkCancelled, match="nothing was left behind"):
        import_gguf(
            tmp_path / "tiny.gguf",
            tmp_path,
            progress=lambda what, done, total: heard.append(what),
            cancelled=lambda: bool(heard),
            entry=(sys.executable, "-c", code),
        )
    assert not half.exists()
    assert all(other.is_dir() for other in others), "they are of other imports"
