"""Hostile chat templates: programs of a model's maker. Each lies in a model that is otherwise fine."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.hostile.case import MARK, Case, Place
from tests.hostile.model_cases import _changed

REFUSES = "refuses a prompt"
BEYOND = "needs more than"
FLOODS = "far more than"
_SHELL = f"os.system('touch {MARK}')"

TEMPLATES = {
    "the classes of everything": (REFUSES, "{{ ''.__class__.__mro__[1].__subclasses__() }}"),
    "the globals of a function": (REFUSES, "{{ raise_exception.__globals__['os'].system('id') }}"),
    "the globals of cycler": (REFUSES, f"{{{{ cycler.__init__.__globals__.os.popen('{MARK}') }}}}"),
    "the globals of lipsum": (REFUSES, f"{{{{ lipsum.__globals__['os'].popen('{MARK}').read() }}}}"),
    "the builtins by attr": (REFUSES, f"{{{{ (namespace|attr('__init__')|attr('__globals__'))['__builtins__'].exec('{MARK}=1') }}}}"),
    "a format with attributes": (REFUSES, "{{ '{0.__class__.__mro__[1].__subclasses__}'.format(1) }}"),
    "format by reference": (REFUSES, "{% set f = '{0.__class__.__mro__}'.format %}{{ f(1) }}"),
    "format_map": (REFUSES, "{{ '{a.__class__.__mro__}'.format_map({'a': 1}) }}"),
    "a map of attributes": (REFUSES, "{{ messages | map(attribute='__class__.__mro__') | list | first | first }}"),
    "self": (REFUSES + "|writes nothing", "{{ self._TemplateReference__context.__class__ }}"),
    "a frame of a generator": (REFUSES, "{% macro m() %}{% endmacro %}{{ m.__call__.__func__.gi_frame.f_globals }}"),
    "a change of the messages": (REFUSES, "{{ messages.append(1) }}"),
    "a change of a role": (REFUSES, "{% do messages[0].update(role='x') %}"),
    "an include": (REFUSES, "{% include '/etc/passwd' %}"),
    "an import": (REFUSES, "{% import '../../outside/secret.txt' as x %}"),
    "an extension": (REFUSES, "{% extends 'file:///etc/passwd' %}"),
    "no template": (REFUSES, "{% for"),
    "a deep expression": (REFUSES, "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}"),
    "a deep block": (REFUSES, "{% if 1 %}" * 2000 + "{% endif %}" * 2000),
    "a recursion": (REFUSES, "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"),
    "a division by 0": (REFUSES, "{{ 1 // 0 }}"),
    "a lone surrogate": (REFUSES, "{{ '\\ud800' }}"),
    "a wrong argument": (REFUSES, "{{ range('x') }}{{ 'a' + 1 }}"),
    "loops in loops": (BEYOND, "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"),
    "a very large power": (BEYOND, "{{ 10 ** (10 ** 8) }}"),
    "a text of a hundred gigabytes": (BEYOND, "{{ 'x' * 10**11 }}"),
    "a number filled up": (BEYOND, "{{ '1'.zfill(10**11) }}{{ 'x'.center(10**11) }}"),
    "a width of a hundred gigabytes": (BEYOND + "|" + REFUSES, "{{ '%99999999999d' % 1 }}"),
    "a format of a hundred gigabytes": (BEYOND + "|" + REFUSES, "{{ '{:>99999999999}'.format(1) }}"),
    "a list of a hundred gigabytes": (BEYOND, "{{ ([1] * 10**10) | length }}"),
    "a text doubled 60 times": (BEYOND, "{% set n = namespace(a='x') %}{% for i in range(60) %}{% set n.a = n.a ~ n.a %}{% endfor %}"),
    "a megabyte for each message": (FLOODS, "{{ 'x' * 10**6 }}"),
    "output without end": (FLOODS, "{% for i in range(99999) %}{{ messages[0]['content'] }}xxxxxxxx{% endfor %}"),
    "a sort of everything": (".*", "{{ (range(99999) | list * 100) | sort | length }}"),
    "code as text": ("^answered", f"{{{{ \"__import__('os').{_SHELL}\" }}}}{{{{ messages[0]['content'] }}}}<|end|>"),
    "the special tokens of another model": ("^answered", "<|im_start|>{{ messages[0]['content'] }}<|endoftext|></s>"),
    "nothing written": ("^answered|.+", ""),
    "the time of day": ("^answered", "{{ strftime_now('%Y' * 100) }}<|user|>{{ messages[0]['content'] }}"),
    "a date of a gigabyte": (BEYOND + "|" + FLOODS + "|" + REFUSES, "{{ strftime_now('%c' * 10**8) }}"),
    "longer than a megabyte": ("longer than 1 MB|end-of-sequence", "x" * (2**20 + 1)),
}  # fmt: skip

OTHER_SHAPES: dict[str, tuple[str, Any]] = {
    "a number": (".+", 5),
    "an object": (".+", {"a": {"b": 1}}),
    "several without a usual one": ("several|.+", [{"name": "x", "template": "{{ 1 }}"}]),
    "several of one name": (".+", [{"name": "default", "template": "{{ messages[0]['content'] }}"}] * 2),
    "names that are lists": (".+", [{"name": ["default"], "template": 5}]),
}


def _template(text: str) -> Callable[[Path, Place], object]:
    return lambda folder, place: (folder / "chat_template.jinja").write_text(text)


def _shape(value: Any) -> Callable[[Path, Place], object]:
    def change(folder: Path, place: Place) -> None:
        (folder / "chat_template.jinja").unlink(missing_ok=True)
        found = json.loads((folder / "tokenizer_config.json").read_text()) | {"chat_template": value}
        (folder / "tokenizer_config.json").write_text(json.dumps(found))

    return change


def cases() -> list[Case]:
    """All of them."""
    found = [Case(f"template: {name}", words, _changed(_template(text))) for name, (words, text) in TEMPLATES.items()]
    return found + [
        Case(f"template: {name}", words, _changed(_shape(value))) for name, (words, value) in OTHER_SHAPES.items()
    ]
