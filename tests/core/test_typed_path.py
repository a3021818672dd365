"""Paths as people type them."""

from pathlib import Path

import pytest

from rlhf_lab.core.typed_path import typed_path


def test_a_tilde_is_a_home_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/far")
    assert typed_path("~/one") == Path("/far/one")
    assert typed_path("two/~") == Path("two/~")
    assert typed_path(Path("~nobody-of-this-name/three")) == Path("~nobody-of-this-name/three")
