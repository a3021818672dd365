"""Random numbers that only the run's seed, their purpose and the step decide: resuming needs no saved state."""

from hashlib import blake2b

import torch


def generator_for(seed: int, purpose: str, step: int = 0) -> torch.Generator:
    """A fresh generator on the CPU; the same three give the same numbers."""
    digest = blake2b(f"{seed}/{purpose}/{step}".encode(), digest_size=7).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big"))
