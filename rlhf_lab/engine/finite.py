"""NaN and infinity stop a run before they reach a weight."""

from collections.abc import Mapping

from torch import Tensor


class NotFinite(Exception):  # noqa: N818 - says what is the matter
    """``term`` names, in words, the first quantity that was NaN or infinite."""

    def __init__(self, term: str) -> None:
        super().__init__(f"{term} became NaN or infinite")
        self.term = term


def require_finite(terms: Mapping[str, Tensor]) -> None:
    """Raises `NotFinite` for the first of the named tensors that is not finite everywhere."""
    for name, tensor in terms.items():
        if not tensor.isfinite().all():
            raise NotFinite(name)
