"""Text that may be shown or sent: secrets never, and for others no data and no places of this machine either."""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

TOKEN = "<token>"
"""What stands in a secret's place."""

_LEAST_SECRET = 8
_SECRET_NAMES = re.compile(r"(?i)(token|secret|password|passwd|api_?key|access_?key|credential)")
_SHAPES = re.compile(
    r"""(?x)
    \b(?: hf_ | api_org_ )[A-Za-z0-9]{8,}            # Hugging Face
  | \b(?: gh[pousr]_ | github_pat_ | glpat- )[A-Za-z0-9_-]{10,}
  | \b(?: sk | pk | rk )-[A-Za-z0-9_-]{16,}          # OpenAI, Anthropic and others
  | \bxox[abeprs]-[A-Za-z0-9-]{10,}                  # Slack
  | \b(?: AKIA | ASIA )[A-Z0-9]{16}\b                # AWS
  | \bAIza[A-Za-z0-9_-]{30,}                         # Google
  | \beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*  # JWT
  | -----BEGIN[ A-Z]*PRIVATE\ KEY-----.*?(?: -----END[ A-Z]*PRIVATE\ KEY----- | \Z )
    """,
    re.DOTALL,
)
_NAMED = re.compile(
    r"""(?xi)
    ( \b(?: bearer | basic )\s+
    | (?: token | secret | passw(?:or)?d | api[_-]?key | access[_-]?key | authorization ) ["']? \s*[:=]\s* ["']? )
    (?! bearer\b | basic\b | <token> )
    [^\s"',;&)}\]]{4,}
    """
)
_URL_USER = re.compile(r"(\b[a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/@]+@")

_QUOTED = re.compile(r"""(?<!\w)(['"‘“`])(?:\\.|(?!\1)[^\\\n’”]){3,}(?:\1|[’”]|$)""", re.MULTILINE)
_PATH = re.compile(r"(?<![\w.<>~/\\:])(?:[A-Za-z]:[\\/]|~?/|\\\\)[^\s:'\",;)\]<>]+")


def without_secrets(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """The text with tokens, keys and passwords struck out: by their shape, by their name, and this process's own."""
    for name, value in environment.items():
        if len(value) >= _LEAST_SECRET and _SECRET_NAMES.search(name) and not value.startswith(("/", "~")):
            text = text.replace(value, TOKEN)
    text = _SHAPES.sub(TOKEN, text)
    text = _URL_USER.sub(rf"\1{TOKEN}@", text)
    return _NAMED.sub(rf"\1{TOKEN}", text)


def for_others(text: str, project: Path | None = None, environment: Mapping[str, str] = os.environ) -> str:
    """The text for a bug report: no secrets, nothing that was quoted (it may be data), no place of this machine.

    Paths inside the project, the program and Python keep their end; others are struck out.
    """
    text = without_secrets(text, environment)
    for place, name in _places(project):
        text = text.replace(place, name)
    text = _PATH.sub("<path>", text)
    return _QUOTED.sub(lambda found: f"{found[1]}…{found[1]}", text)


def _places(project: Path | None) -> list[tuple[str, str]]:
    """Folders and how they are called, the longest first: one may lie in another."""
    found: dict[str, str] = {}
    for path, name in (
        (Path(sys.prefix), "<python>"),
        (Path(sys.base_prefix), "<python>"),
        (Path(__file__).parents[2], "<program>"),
        (project, "<project>"),
    ):
        if path is not None and len(path.parts) > 1:
            found[str(path)] = found[str(path.resolve())] = name
    return sorted(found.items(), key=lambda item: -len(item[0]))
