"""Imports beside PySide without the reading that it does at each of them."""

import sys

import shiboken6  # noqa: F401 - it brings the hook


def leave_sources_unread() -> None:
    """Tell PySide's import hook that no module asks for ``from __feature__ import …``, as none here does.

    It would search the source of every module for the word "PySide6", to know in which to rename methods, and Python
    keeps all lines that were read so: of the window's some 600 modules 23 MB. A PySide without that hook is left alone.
    """
    hook = sys.modules.get("shibokensupport.feature")
    if hasattr(hook, "_mod_uses_pyside"):
        setattr(hook, "_mod_uses_pyside", _no)  # noqa: B010 - it is no attribute that a type checker knows


def _no(module: object) -> bool:
    return False
