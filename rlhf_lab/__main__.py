"""``rlhf-lab``, which is ``python -m rlhf_lab``: the window where nothing else is asked, and errors in words."""

import logging
import os
import sys
import traceback

from rlhf_lab.core.errors import LabError

_log = logging.getLogger("rlhf_lab.command")


def main() -> None:
    """The entry point: runs a command; an error becomes a sentence and exit status 1."""
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # else it looks through all that is installed for some
    try:
        if sys.argv[1:]:
            from rlhf_lab.cli import app

            app(prog_name="rlhf-lab")
        else:  # what reads a command line takes 4% of the window's start
            from rlhf_lab.window import open_window

            sys.exit(open_window())
    except LabError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _fail("Interrupted.")
    except Exception as error:
        if os.environ.get("RLHF_LAB_TRACEBACK"):
            traceback.print_exc()
        where = "Set RLHF_LAB_TRACEBACK=1 and do it again to see where."
        if _log.hasHandlers():  # else the project is not open yet
            _log.exception("a command failed")
            where = "The project's lab.log says where; for a report: rlhf-lab diagnostics"
        first_line = (str(error).strip() or "no message").splitlines()[0]
        _fail(f"Something went wrong inside the lab ({type(error).__name__}: {first_line}). {where}")


def _fail(sentence: str) -> None:
    from rlhf_lab.terminal import Terminal

    terminal = Terminal(machine="--json" in sys.argv)
    terminal.say(f"rlhf-lab: {sentence}")
    terminal.result({"error": sentence})
    sys.exit(1)


if __name__ == "__main__":
    main()
