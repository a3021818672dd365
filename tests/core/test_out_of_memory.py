"""Memory that ran out is known by what Python, torch and safetensors raise; the advice can be read back."""

import errno
import os

import pytest
import torch

from rlhf_lab.core.out_of_memory import LESS_MEMORY, advice, advised_in, is_out_of_memory


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("MPS backend out of memory (MPS allocated: 17 GB, max allowed: 18 GB)."),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
    ],
)
def test_it_is_known(error: Exception) -> None:
    assert is_out_of_memory(error)


def test_what_torch_raises_on_this_processor_is_known() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize(
    "error", [RuntimeError("CUDA error: device-side assert"), OSError(errno.ENOSPC, "full"), ValueError("x")]
)
def test_other_errors_are_not_it(error: Exception) -> None:
    assert not is_out_of_memory(error)


def test_what_is_advised_can_be_read_back() -> None:
    assert advised_in(f"Not enough memory. {advice(4, 3 * 2**30)}") == {"micro_batch_size": 4}
    lean = advice(1, 2**30, checkpointing=True)
    assert advised_in(lean) == {"micro_batch_size": 1, "gradient_checkpointing": "on"}
    assert "3.0 GB were free" in advice(4, 3 * 2**30)
    assert "512 MB were free" in advice(None, 2**29)
    assert advised_in(advice(None, 2**29)) == {}
    assert advised_in(LESS_MEMORY) == {}
