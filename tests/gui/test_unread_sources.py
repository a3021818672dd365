import json
import os
import subprocess
import sys

IMPORT = """
import json, linecache, sys
from rlhf_lab.gui.app import main
import pyqtgraph, rlhf_lab.gui.panes.policy
print(json.dumps({"modules": len(sys.modules), "read": sorted(linecache.cache)}))
"""


def test_what_the_window_imports_is_not_read_as_text_too() -> None:
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    ended = subprocess.run([sys.executable, "-c", IMPORT], env=environment, capture_output=True, timeout=60, check=True)
    found = json.loads(ended.stdout)
    assert found["modules"] > 500
    assert len(found["read"]) < 10, found["read"]
