"""The catalogue of help: panes, controls, concepts, pages. One TOML file a kind in ``resources/help``, read when first needed.

Config fields and metrics have their help where they are declared, not here. A text is Markdown; its links are
``help:TOPIC``, ``metric:NAME``, ``field:STAGE.NAME``, ``help:keys`` and ``do:ACTION``.
"""

import re
import tomllib
from dataclasses import dataclass
from functools import cache

from rlhf_lab.core.resources import resource

KINDS = ("page", "pane", "control", "concept")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Topic:
    """One entry: ``tip`` is what a tooltip and a ``?`` mark say, ``text`` what F1 adds."""

    name: str
    title: str
    tip: str
    text: str = ""

    @property
    def links(self) -> list[str]:
        """Where its text leads, in order."""
        return _LINK.findall(self.text)


def topic(name: str) -> Topic:
    """The topic "kind.name"; raises `KeyError` for one that there is not."""
    return topics(name.partition(".")[0])[name]


def tip(name: str) -> str:
    """What a tooltip says of it."""
    return topic(name).tip


@cache
def topics(kind: str) -> dict[str, Topic]:
    """All topics of one of `KINDS`, in the order of their file."""
    if kind not in KINDS:
        raise KeyError(f"no kind of help is called {kind!r}")
    read = tomllib.loads(resource(f"help/{kind}.toml").read_text(encoding="utf-8"))
    return {
        f"{kind}.{name}": Topic(f"{kind}.{name}", entry["title"], _joined(entry["tip"]), entry.get("text", "").strip())
        for name, entry in read.items()
    }


def _joined(text: str) -> str:
    """Lines of a file become paragraphs; an empty line parts them."""
    return "\n\n".join(" ".join(part.split()) for part in text.strip().split("\n\n"))
