"""Which system libraries Qt needs, which of them this machine lacks, and the command that installs them.

Qt aborts the process when its display plugin cannot load, so nothing here loads Qt into this
process: libraries are opened one by one, the display is asked directly, and `probe_qt` makes a
`QApplication` in a subprocess.
"""

import ctypes
import os
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Library:
    """A shared library and the packages that hold it, in Debian's and in Fedora's words."""

    soname: str
    apt: str
    dnf: str


OFFSCREEN = (
    Library("libstdc++.so.6", "libstdc++6", "libstdc++"),
    Library("libEGL.so.1", "libegl1", "libglvnd-egl"),
    Library("libGL.so.1", "libgl1", "libglvnd-glx"),
    Library("libX11.so.6", "libx11-6", "libX11"),
    Library("libxkbcommon.so.0", "libxkbcommon0", "libxkbcommon"),
    Library("libglib-2.0.so.0", "libglib2.0-0", "glib2"),
    Library("libgthread-2.0.so.0", "libglib2.0-0", "glib2"),
    Library("libfontconfig.so.1", "libfontconfig1", "fontconfig"),
    Library("libfreetype.so.6", "libfreetype6", "freetype"),
    Library("libdbus-1.so.3", "libdbus-1-3", "dbus-libs"),
    Library("libz.so.1", "zlib1g", "zlib"),
    Library("libzstd.so.1", "libzstd1", "libzstd"),
)
"""What Qt needs even without a display."""

X11 = (
    Library("libxcb-cursor.so.0", "libxcb-cursor0", "xcb-util-cursor"),
    Library("libxcb-icccm.so.4", "libxcb-icccm4", "xcb-util-wm"),
    Library("libxcb-util.so.1", "libxcb-util1", "xcb-util"),
    Library("libxcb-image.so.0", "libxcb-image0", "xcb-util-image"),
    Library("libxcb-keysyms.so.1", "libxcb-keysyms1", "xcb-util-keysyms"),
    Library("libxcb-render-util.so.0", "libxcb-render-util0", "xcb-util-renderutil"),
    Library("libxcb-randr.so.0", "libxcb-randr0", "libxcb"),
    Library("libxcb-render.so.0", "libxcb-render0", "libxcb"),
    Library("libxcb-shape.so.0", "libxcb-shape0", "libxcb"),
    Library("libxcb-shm.so.0", "libxcb-shm0", "libxcb"),
    Library("libxcb-sync.so.1", "libxcb-sync1", "libxcb"),
    Library("libxcb-xfixes.so.0", "libxcb-xfixes0", "libxcb"),
    Library("libxcb-xkb.so.1", "libxcb-xkb1", "libxcb"),
    Library("libX11-xcb.so.1", "libx11-xcb1", "libX11-xcb"),
    Library("libxkbcommon-x11.so.0", "libxkbcommon-x11-0", "libxkbcommon-x11"),
)
"""What Qt needs besides to open a window on an X11 display."""

WAYLAND = (
    Library("libwayland-client.so.0", "libwayland-client0", "libwayland-client"),
    Library("libwayland-cursor.so.0", "libwayland-cursor0", "libwayland-cursor"),
    Library("libwayland-egl.so.1", "libwayland-egl1", "libwayland-egl"),
)
"""The same for a Wayland display."""

FONT = Library("a font", "fonts-dejavu-core", "dejavu-sans-fonts")
"""No library, but without any font Qt warns at every text it draws."""

_ON_A_DISPLAY = ("", "xcb", "wayland")
"""Values of ``QT_QPA_PLATFORM`` that show windows to a person; "" lets Qt choose."""

_OPEN_QT = """
from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import QApplication
app = QApplication([])
print("platform", app.platformName(), "fonts", len(QFontDatabase.families()))
"""


@dataclass(frozen=True)
class QtProbe:
    """Whether a `QApplication` came up in a subprocess; ``detail`` is its platform, or Qt's last words."""

    ok: bool
    detail: str
    fonts: int = 0


def probe_qt(platform: str | None = None, timeout: float = 60) -> QtProbe:
    """Make a `QApplication` in a subprocess; ``platform`` None asks for the one that the window would get."""
    import subprocess  # a window that opens needs none of it

    env = dict(os.environ)
    if platform is not None:
        env["QT_QPA_PLATFORM"] = platform
    try:
        ended = subprocess.run(
            [sys.executable, "-c", _OPEN_QT],
            env=env,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return QtProbe(False, f"Qt did not come up within {timeout:g} seconds")
    found = re.search(r"platform (\S+) fonts (\d+)", ended.stdout)
    if ended.returncode == 0 and found:
        return QtProbe(True, found[1], int(found[2]))
    said = [line.strip() for line in ended.stderr.splitlines() if line.strip()] or ["Qt gave no reason"]
    # A traceback has its reason in the last line; Qt's plugin loader has it in the first.
    return QtProbe(False, said[-1] if "Error" in said[-1] else said[0])


def missing(libraries: Iterable[Library]) -> list[Library]:
    """Those that the loader cannot open. Linux only: elsewhere Qt brings what it needs."""
    if not sys.platform.startswith("linux"):
        return []
    return [library for library in libraries if not _opens(library.soname)]


def x11_answers() -> bool:
    """Whether the display that ``DISPLAY`` names takes a connection; asks libxcb, as Qt would."""
    xcb = ctypes.CDLL("libxcb.so.1")
    xcb.xcb_connect.restype = ctypes.c_void_p
    xcb.xcb_connect.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
    for function in (xcb.xcb_connection_has_error, xcb.xcb_disconnect):
        function.argtypes = [ctypes.c_void_p]
    connection = xcb.xcb_connect(None, None)
    refused = xcb.xcb_connection_has_error(connection)
    xcb.xcb_disconnect(connection)
    return not refused


def _display_answers(env: Mapping[str, str]) -> bool:
    """Whether one of the displays that are named is there: Qt tries Wayland, then X11."""
    wayland = env.get("WAYLAND_DISPLAY")
    if wayland and _platform(env) != "xcb" and Path(env.get("XDG_RUNTIME_DIR", "/"), wayland).exists():
        return True
    return bool(env.get("DISPLAY")) and _platform(env) != "wayland" and x11_answers()


def _opens(soname: str) -> bool:
    try:
        ctypes.CDLL(soname)
    except OSError:
        return False
    return True


def display_libraries(env: Mapping[str, str]) -> tuple[Library, ...]:
    """What the display that ``env`` names would need; nothing where there is no display."""
    if _platform(env) not in _ON_A_DISPLAY:
        return ()
    return (X11 if env.get("DISPLAY") else ()) + (WAYLAND if env.get("WAYLAND_DISPLAY") else ())


def has_display(env: Mapping[str, str]) -> bool:
    """Whether a window could be shown, as far as the environment says."""
    if not sys.platform.startswith("linux"):
        return True
    return bool(env.get("DISPLAY") or env.get("WAYLAND_DISPLAY")) or _platform(env) not in _ON_A_DISPLAY


def _platform(env: Mapping[str, str]) -> str:
    """The platform that Qt is told to take, "" when it may choose."""
    return env.get("QT_QPA_PLATFORM", "").partition(":")[0]


def window_problem() -> str | None:
    """Why no window can open here, in a sentence; None when one can. Takes milliseconds: no Qt, no subprocess."""
    env = os.environ
    if not has_display(env):
        return "there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set)"
    if lacking := missing((*OFFSCREEN, *display_libraries(env))):
        return f"Qt lacks {', '.join(library.soname for library in lacking)} (rlhf-lab doctor says how to install that)"
    if sys.platform.startswith("linux") and _platform(env) in _ON_A_DISPLAY and not _display_answers(env):
        return f"the display {env.get('WAYLAND_DISPLAY') or env.get('DISPLAY')} does not answer"
    return None


def install_commands(libraries: Sequence[Library], *, prefix: Sequence[str] = ()) -> list[list[str]]:
    """What to run, in order, so that these are there; [] when this machine has neither apt nor dnf."""
    if not libraries:
        return []
    if shutil.which("apt-get"):
        packages = sorted({library.apt for library in libraries})
        return [
            [*prefix, "apt-get", "update"],
            [*prefix, "apt-get", "install", "-y", "--no-install-recommends", *packages],
        ]
    if shutil.which("dnf"):
        return [[*prefix, "dnf", "install", "-y", *sorted({library.dnf for library in libraries})]]
    return []


def is_root() -> bool:
    """Whether this process may install packages as it is."""
    return os.name == "posix" and os.geteuid() == 0


def as_root() -> list[str] | None:
    """How this process may run a command as root: [] as it is, else through sudo; None: not at all."""
    if is_root():
        return []
    if not shutil.which("sudo"):
        return None
    import subprocess

    asked = subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False, stdin=subprocess.DEVNULL)
    return ["sudo", "-n"] if asked.returncode == 0 else None
