from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlhf_lab.core.errors import LabError
from rlhf_lab.engine import checkpoint
from rlhf_lab.engine.optimiser import Optimiser, rate_at

TENSORS = {
    "weight": torch.arange(6.0).reshape(2, 3),
    "count": torch.tensor(3),
    "rng": torch.arange(9, dtype=torch.uint8),
}


def save(folder: Path, *steps: int) -> None:
    for step in steps:
        checkpoint.save(folder, step, TENSORS, {"step": step, "kl": 0.25})


def test_what_is_saved_comes_back_exactly(tmp_path: Path) -> None:
    save(tmp_path / "c", 7)
    found = checkpoint.newest(tmp_path / "c")
    assert found is not None
    step, tensors, state = found
    assert (step, state) == (7, {"step": 7, "kl": 0.25})
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[k], TENSORS[k]) and tensors[k].dtype == TENSORS[k].dtype for k in TENSORS)


def test_the_newest_two_are_kept_and_no_half_written_folder_counts(tmp_path: Path) -> None:
    save(tmp_path, 2, 9, 10)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-10", "step-9"]
    (tmp_path / ".step-11.new").mkdir()
    (tmp_path / "step-12").mkdir()
    heard: list[str] = []
    found = checkpoint.newest(tmp_path, lambda path, why: heard.append(path.name))
    assert found is not None
    assert found[0] == 10
    assert heard == ["step-12"]


def test_an_empty_folder_holds_none(tmp_path: Path) -> None:
    assert checkpoint.newest(tmp_path / "none") is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(data=st.data())
def test_a_flipped_byte_anywhere_is_found_and_the_one_before_is_used(tmp_path: Path, data: st.DataObject) -> None:
    save(tmp_path, 1, 2)
    file = data.draw(st.sampled_from(sorted((tmp_path / "step-2").iterdir())))
    content = bytearray(file.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    file.write_bytes(content)
    found = checkpoint.newest(tmp_path)
    assert found is not None
    # The manifest has a little room that means nothing: white space.
    assert found[0] == 1 or file.name == "manifest.json"
    assert torch.equal(found[1]["weight"], TENSORS["weight"])


def test_a_cut_file_is_found(tmp_path: Path) -> None:
    save(tmp_path, 1, 2)
    file = tmp_path / "step-2" / "tensors.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    heard: list[str] = []
    found = checkpoint.newest(tmp_path, lambda path, why: heard.append(why))
    assert found is not None
    assert found[0] == 1
    assert "tensors.safetensors was changed or cut short" in heard[0]


def test_the_same_step_can_be_saved_again(tmp_path: Path) -> None:
    save(tmp_path, 3, 3)
    assert [p.name for p in tmp_path.iterdir()] == ["step-3"]


def test_a_place_that_cannot_be_written_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LabError, match="could not be saved"):
        save(tmp_path / "file", 1)


def test_the_optimiser_goes_on_exactly() -> None:
    def steps(optimiser: Optimiser, weights: dict[str, torch.nn.Parameter], begin: int, end: int) -> None:
        for step in range(begin, end):
            for i, parameter in enumerate(weights.values()):
                parameter.grad = torch.sin(parameter.detach() * 3 + step + i)
            optimiser.step(0.01 * (step + 1))

    def fresh() -> dict[str, torch.nn.Parameter]:
        return {n: torch.nn.Parameter(torch.linspace(0, 1, 5)) for n in "ab"}

    whole, first, second = fresh(), fresh(), fresh()
    steps(Optimiser(whole, 1.0), whole, 0, 6)
    begun = Optimiser(first, 1.0)
    steps(begun, first, 0, 3)
    resumed = Optimiser(second, 1.0)
    resumed.restore(begun.tensors())
    steps(resumed, second, 3, 6)
    assert all(torch.equal(whole[n], second[n]) for n in whole)


def test_the_learning_rate_rises_then_falls_to_0() -> None:
    assert [rate_at(s, 4, 0) for s in range(4)] == [1.0, 0.75, 0.5, 0.25]
    assert [rate_at(s, 6, 2) for s in range(6)] == pytest.approx([1 / 3, 2 / 3, 1, 0.75, 0.5, 0.25])
    assert [rate_at(s, 2, 5) for s in range(2)] == pytest.approx([1 / 6, 2 / 6])
