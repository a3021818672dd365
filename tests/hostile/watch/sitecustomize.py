"""Python imports this at the start of every process under watch: an audit hook that notes what must not happen.

Nothing is hindered, all is written down: one JSON line each into the pipe ``HOSTILE_REPORT``. What may be read lies in
``HOSTILE_PROJECT`` (the project, the hostile files), among Python's libraries, or is the system's own. What nobody may
even list lies in ``HOSTILE_OUTSIDE``.
"""

import json
import os
import sys
from pathlib import Path

MARK = "lab_canary"
"""In every piece of code that the corpus holds."""
_SYSTEM = (
    "/dev/null",
    "/dev/zero",
    "/dev/urandom",
    "/proc/",
    "/sys/",
    "/etc/localtime",
    "/usr/share/zoneinfo/",
    "/usr/lib/",
    "/lib/",
)
_SYSTEM_READ = (
    "/etc/os-release",
    "/etc/debian_version",
    "/etc/ld.so.cache",
    "/etc/fonts",
    "/usr/share/",
    "/var/cache/fontconfig",
)
_CHANGES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_WRITING = (
    "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown",
    "os.utime", "shutil.rmtree", "shutil.move", "shutil.copyfile", "shutil.unpack_archive",
)  # fmt: skip
_STARTING = (
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "os.startfile", "pty.spawn",
    "webbrowser.open", "pickle.find_class", "sqlite3.enable_load_extension", "sqlite3.load_extension",
    "builtins.breakpoint", "builtins.input", "urllib.Request", "ftplib.connect", "http.client.connect",
)  # fmt: skip
_RENDERS = "rlhf_lab.engine.template_child"


class Watch:
    """What is allowed, and where the rest is noted."""

    def __init__(self) -> None:
        self._report = os.open(os.environ["HOSTILE_REPORT"], os.O_WRONLY | os.O_NONBLOCK)
        self._project = tuple(map(os.path.realpath, os.environ["HOSTILE_PROJECT"].split(os.pathsep)))
        self._outside = os.path.realpath(os.environ["HOSTILE_OUTSIDE"])
        places = (sys.prefix, sys.base_prefix, sys.exec_prefix, *sys.path)
        self._libraries = tuple({os.path.realpath(place) for place in places if place})
        self._renders = _RENDERS in sys.orig_argv
        self._busy = False

    def begin(self) -> "Watch":
        """Say that this process is watched."""
        os.write(self._report, b'{"event": "begun"}\n')
        return self

    def __call__(self, event: str, arguments: tuple) -> None:
        if self._busy or (event not in _HANDLERS and not event.startswith("socket.")):
            return
        self._busy = True
        try:
            found = _HANDLERS.get(event, Watch._always)(self, *arguments)
            if found:
                self._note(event, found)
        finally:
            self._busy = False

    def _note(self, event: str, found: str) -> None:
        frame, where = sys._getframe(), []
        while frame is not None and len(where) < 8:
            where.append(f"{frame.f_code.co_filename[-60:]}:{frame.f_lineno}")
            frame = frame.f_back
        line = {"event": event, "what": found[:300], "where": where[2:], "process": " ".join(sys.orig_argv[1:])[-100:]}
        os.write(self._report, json.dumps(line).encode()[:4000] + b"\n")

    def _in(self, path: object, places: tuple[str, ...]) -> bool:
        real = os.path.realpath(os.fsdecode(path))
        return any(real == place or real.startswith(place.rstrip("/") + "/") for place in places)

    def _always(self, *arguments: object) -> str:
        return repr(arguments)

    def _open(self, path: object, mode: object = None, flags: object = 0) -> str:
        if not isinstance(path, str | bytes | os.PathLike):
            return ""  # a descriptor that was opened before
        if isinstance(flags, int) and flags & os.O_NOFOLLOW:  # a link is not opened, wherever it leads
            folder = os.fsdecode(path).rpartition("/")[0]
            return (
                ""
                if Path(os.fsdecode(path)).is_symlink() and self._in(folder, self._project)
                else self._opened(path, flags)
            )
        return self._opened(path, flags)

    def _listed(self, path: object = None) -> str:
        if path is None or isinstance(path, int) or not self._in(path, (self._outside,)):
            return ""
        return f"listed: {path!r}"

    def _opened(self, path: object, flags: object) -> str:
        if isinstance(flags, int) and flags & _CHANGES:
            allowed = self._in(path, self._project) or os.fsdecode(path).startswith(("/dev/null", "/proc/"))
            compiled = os.fsdecode(path).endswith(".pyc") or "__pycache__" in os.fsdecode(path)
            return "" if allowed or (compiled and self._in(path, self._libraries)) else f"written: {path!r}"
        if self._in(path, self._project) or self._in(path, self._libraries):
            return ""
        return "" if os.path.realpath(os.fsdecode(path)).startswith((*_SYSTEM, *_SYSTEM_READ)) else f"read: {path!r}"

    def _change(self, *arguments: object) -> str:
        paths = [a for a in arguments if isinstance(a, str | bytes | os.PathLike)]
        wrong = [p for p in paths if not self._in(p, self._project) and not os.fsdecode(p).endswith(".pyc")]
        wrong = [p for p in wrong if "__pycache__" not in os.fsdecode(p)]
        return f"changed: {wrong[0]!r}" if wrong else ""

    def _removed(self, path: object, folder: object = -1) -> str:
        if isinstance(folder, int) and folder >= 0:  # a name in a folder that is open
            path = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), os.fsdecode(path))  # noqa: PTH115, PTH118
        return self._moved(path)

    def _moved(self, *arguments: object) -> str:
        """A link goes itself, not what it leads to."""
        for path in arguments:
            if isinstance(path, str | bytes | os.PathLike):
                parent, _, name = os.path.abspath(os.fsdecode(path)).rpartition("/")  # noqa: PTH100
                compiled = name.endswith(".pyc") or "__pycache__" in parent
                if not compiled and not self._in(parent or "/", self._project):
                    return f"changed: {path!r}"
        return ""

    def _started(self, executable: object, arguments: object, *rest: object) -> str:
        expected = [sys.executable, "-P", "-m", _RENDERS]
        return "" if list(arguments) == expected else f"{executable!r} {arguments!r}"  # type: ignore[call-overload]

    def _database(self, database: object, *rest: object) -> str:
        return "" if str(database).startswith((":memory:", "file:")) else self._open(database, None, os.O_RDWR)

    def _compiled(self, source: object, filename: object = None) -> str:
        if self._renders and filename in ("<template>", "<unknown>"):
            return ""  # in the process that is there for it
        text = (
            source.decode(errors="replace") if isinstance(source, bytes) else source if isinstance(source, str) else ""
        )
        return f"compiled: {filename!r}" if MARK in text or self._theirs(filename) else ""

    def _executed(self, code: object) -> str:
        filename, names = getattr(code, "co_filename", ""), getattr(code, "co_names", ())
        if self._renders and filename == "<template>":
            return ""
        constants = [c for c in getattr(code, "co_consts", ()) if isinstance(c, str)]
        marked = any(MARK in text for text in (*names, *constants))
        return f"executed: {filename!r}" if (marked and not self._own(filename)) or self._theirs(filename) else ""

    def _imported(self, module: object, filename: object = None, *rest: object) -> str:
        return f"imported: {module!r} {filename!r}" if MARK in str(module) or self._theirs(filename) else ""

    def _loaded(self, name: object, *rest: object) -> str:
        return f"loaded: {name!r}" if self._theirs(name) else ""

    def _theirs(self, filename: object) -> bool:
        return isinstance(filename, str | bytes) and b"/" in os.fsencode(filename) and self._in(filename, self._project)

    def _own(self, filename: str) -> bool:
        return "tests/hostile" in filename


_HANDLERS = {
    **dict.fromkeys(_WRITING, Watch._change),
    **dict.fromkeys(_STARTING, Watch._always),
    **dict.fromkeys(("os.remove", "os.rmdir"), Watch._removed),
    "os.rename": Watch._moved,
    "open": Watch._open,
    **dict.fromkeys(("os.listdir", "os.scandir"), Watch._listed),
    "compile": Watch._compiled,
    "exec": Watch._executed,
    "import": Watch._imported,
    "ctypes.dlopen": Watch._loaded,
    "subprocess.Popen": Watch._started,
    "sqlite3.connect": Watch._database,
}

if "HOSTILE_REPORT" in os.environ:
    import resource

    resource.setrlimit(resource.RLIMIT_CPU, (600, 600))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.addaudithook(Watch().begin())
