import gc
import json
import subprocess
import sys

import pytest

from rlhf_lab.engine import libraries

LOAD = """
import gc, importlib.util, json, sys
from rlhf_lab.engine import libraries
light = "torch" not in sys.modules
libraries.load()
import rlhf_lab.engine.stages
import transformers.utils
print(json.dumps({
    "light": light,
    "kept": gc.get_freeze_count(),
    "collects": gc.isenabled(),
    "scipy": "scipy" in sys.modules,
    "scipy could be had": importlib.util.find_spec("scipy") is not None,
    "transformers says so": transformers.utils.is_scipy_available(),
}))
"""


def test_what_nobody_uses_is_not_imported_and_all_else_is_as_it_was() -> None:
    ended = subprocess.run([sys.executable, "-c", LOAD], capture_output=True, timeout=120, check=True)
    found = json.loads(ended.stdout)
    assert found.pop("kept") > 100_000
    assert found["transformers says so"] == found.pop("scipy could be had")
    del found["transformers says so"]
    assert found == {"light": True, "collects": True, "scipy": False}


@pytest.mark.parametrize("collects", [True, False])
def test_a_collector_that_is_off_stays_off(collects: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    import peft

    monkeypatch.delitem(sys.modules, "peft")  # its parts stay, so it is had again at once
    if not collects:
        gc.disable()
    try:
        libraries.load()
        assert gc.isenabled() is collects
    finally:
        gc.enable()
    assert sys.modules["peft"] is not peft, "it was loaded"


def test_where_they_are_there_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    import peft

    frozen: list[bool] = []
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(True))
    libraries.load()
    assert sys.modules["peft"] is peft
    assert not frozen
