"""``rlhf-lab selfcheck``: the table, the verdict and the exit status."""

from pathlib import Path

import pytest

from rlhf_lab import selfcheck
from rlhf_lab.core.errors import LabError
from tests.app.conftest import Lab, last_object

CHECKOUT = Path(__file__).parents[2]


@pytest.mark.usefixtures("warm_children")
def test_it_holds_the_engine_against_known_answers(lab: Lab) -> None:
    ended = lab("selfcheck", "--device", "cpu", "--json", timeout=600)
    found = last_object(ended)
    assert [row for row in found["oracles"] if not row["ok"]] == []
    assert (ended.returncode, found["ok"], found["failed"]) == (0, True, 0), ended.stderr
    assert found["checked"] == len(found["oracles"]) > 50
    assert {"name", "expected", "obtained", "tolerance", "words", "ok"} <= set(found["oracles"][0])
    assert "cpu, fp32" in ended.stderr
    assert f"All {found['checked']} hold" in ended.stderr
    page = (CHECKOUT / "docs" / "correctness.md").read_text(encoding="utf-8")
    untold = [row["name"] for row in found["oracles"] if f"| {row['name'].replace('|', chr(92) + '|')} |" not in page]
    assert not untold, "docs/correctness.md holds the table of an older selfcheck --all"


@pytest.mark.usefixtures("warm_children")
def test_a_device_that_is_not_there_is_said(lab: Lab) -> None:
    ended = lab("selfcheck", "--device", "mps" if Path("/proc").exists() else "cuda")
    assert ended.returncode == 1
    assert "device here" in ended.stderr
    assert "Traceback" not in ended.stderr


STANDIN = """
import json, sys
print(json.dumps({"device": "cpu, fp32", "versions": {}, "checks": 2}))
row = {"name": "the KL", "expected": 0, "obtained": 0.5, "tolerance": 0.1, "relation": "=", "words": "It is 0."}
print(json.dumps(row | {"ok": False}))
print(json.dumps(row | {"name": "the ratio", "obtained": "nan", "ok": False}))
sys.exit(1)
"""


def test_what_does_not_hold_is_told_with_what_it_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selfcheck, "ENTRY", (selfcheck.ENTRY[0], "-c", STANDIN))
    said: list[str] = []
    found = selfcheck.check(device="cpu", every=False, say=said.append)
    assert (len(found.failed), found.as_json()["ok"]) == (2, False)
    assert said[2].split() == ["the", "KL", "0", "0.5", "0.1", "WRONG"]
    assert "nan" in said[3]
    assert "WRONG: the KL. It is 0." in said
    assert "2 of 2 do not hold" in said[-1]


@pytest.mark.parametrize("script", ["import sys; sys.exit('no torch here')", "raise SystemExit(9)"])
def test_checks_that_break_off_are_no_success(script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selfcheck, "ENTRY", (selfcheck.ENTRY[0], "-c", script))
    with pytest.raises(LabError, match=r"broke off: (no torch here|they ended with status 9)"):
        selfcheck.check(device="cpu", every=False, say=lambda _: None)
