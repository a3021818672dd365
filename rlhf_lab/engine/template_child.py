"""The process that renders chat templates: ``python -m rlhf_lab.engine.template_child``; see `rlhf_lab.engine.templates`.

A template is a program of the model's maker. It runs in Jinja's sandbox, as in transformers, and here besides in
a process that can open no file and no socket, start nothing, and use no more than its share of memory and time.
One JSON line a request, one a reply; the end of input ends it.
"""

import json
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from typing import IO, Any

from jinja2 import Environment, Template, nodes
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

MOST_MEMORY = 2**29
MOST_SECONDS = 1.0
"""Of the processor, for one rendering; real ones take a thousandth of it."""
_LONGEST_REASON = 300


class _Generation(Extension):
    """``{% generation %}``: marks the assistant's words for masks, which nobody asks for here."""

    tags = {"generation"}  # noqa: RUF012 - Jinja's way

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_as_it_is"), [], [], body).set_lineno(line)

    def _as_it_is(self, caller: Callable[[], str]) -> str:
        return caller()


class _Namespace(Namespace):
    """Without names that begin with an underscore, as in transformers; one may be called `self`."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        self, values = args[0], dict(*args[1:], **kwargs)
        for name in values:
            _check_name(name)
        Namespace.__init__(self, values)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        super().__setitem__(name, value)


def _check_name(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a namespace may not hold {name!r}")


def environment() -> Environment:
    """What templates find around them: the same as in transformers."""
    found = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
    found.filters["tojson"] = _tojson
    found.globals |= {"raise_exception": _refuse, "strftime_now": _now, "namespace": _Namespace}
    return found


def render(template: Template, values: dict[str, Any], most: int) -> dict[str, str]:
    """The reply to one request: its "text", or the "reason" why there is none, and of which "kind" that is."""
    pieces, length = [], 0
    try:
        for piece in template.generate(**values):
            pieces.append(piece)
            length += len(piece)
            if length > most:
                return {"kind": "flood", "reason": f"it wrote more than {most:,} characters"}
        text = "".join(pieces)
        text.encode()
    except MemoryError:
        return {"kind": "memory", "reason": "it took too much memory"}
    except UnicodeEncodeError:
        return {"kind": "refused", "reason": "it wrote a character that is no valid Unicode"}
    except Exception as error:  # whatever a stranger's program trips over
        return refusal(error)
    return {"kind": "text", "text": text}


def refusal(error: Exception) -> dict[str, str]:
    """A reply for a template that cannot be compiled or gave up."""
    name = "" if isinstance(error, TemplateError) else f"{type(error).__name__}: "
    return {"kind": "refused", "reason": f"{name}{error}"[:_LONGEST_REASON]}


def serve(lines: IO[bytes], out: IO[bytes]) -> None:
    """Meet requests until the end of input."""
    around = environment()
    compiled: dict[str, Template] = {}
    _warm_up(around)
    _limit()
    for line in lines:
        _count_seconds(MOST_SECONDS)
        try:
            request = json.loads(line)
            source = request["template"]
            if source not in compiled:
                compiled = {source: around.from_string(source)}
            reply = render(compiled[source], request["values"], request["most"])
        except MemoryError:
            reply = {"kind": "memory", "reason": "it took too much memory"}
        except Exception as error:  # as above; it may not even be a template
            reply = refusal(error)
        _count_seconds(0)
        out.write(json.dumps(reply).encode() + b"\n")
        out.flush()


def _warm_up(around: Environment) -> None:
    """Let Jinja import what it imports late, before no file can be opened any more."""
    render(around.from_string("{{ raise_exception(strftime_now('%Y') | tojson) }}"), {}, 0)


def _limit() -> None:
    """No new files or sockets, no processes, so much memory (no effect on Windows; macOS heeds the first two)."""
    if sys.platform != "win32":
        import resource

        for what, most in (("NOFILE", 3), ("NPROC", 0), ("FSIZE", 0), ("CORE", 0), ("AS", MOST_MEMORY)):
            resource.setrlimit(getattr(resource, f"RLIMIT_{what}"), (most, most))


def _count_seconds(seconds: float) -> None:
    """End this process when it has computed for so long; 0: no longer."""
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _tojson(
    value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _refuse(message: object) -> None:
    raise TemplateError(str(message))


def _now(form: str) -> str:
    return datetime.now().astimezone().strftime(form)


if __name__ == "__main__":
    if sys.platform != "win32":
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # who asked decides when to end
    serve(sys.stdin.buffer, sys.stdout.buffer)
