"""Chat templates are programs of strangers: they write what they would in transformers, and nothing else happens."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from rlhf_lab.core.errors import LabError
from rlhf_lab.engine import templates
from rlhf_lab.engine.templates import Refused
from tests.engine.conftest import TEMPLATE, make_tokenizer

TURNS = [
    {"role": "system", "content": "Be kind.\n"},
    {"role": "user", "content": " What is <b>tea</b>? "},
    {"role": "assistant", "content": "<think>hm</think>It is “milk”.\n"},
    {"role": "user", "content": "Why, 'so'?"},
]
REAL = {
    "plain": TEMPLATE,
    "ChatML": (
        "{%- if messages[0].role == 'system' %}\n    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}\n"
        "{%- endif %}\n{%- set ns = namespace(last=messages|length - 1, seen=false) %}\n"
        "{%- for message in messages[::-1] %}\n{%- set index = (messages|length - 1) - loop.index0 %}\n"
        "{%- if not ns.seen and message.role == 'user' %}{%- set ns.seen = true %}{%- set ns.last = index %}{%- endif %}\n"
        "{%- endfor %}\n{%- for message in messages %}\n{%- if message.role == 'assistant' %}\n"
        "{%- set text = message.content.split('</think>')[-1].lstrip('\\n') %}\n{%- else %}{%- set text = message.content %}"
        "{%- endif %}\n{{- '<|im_start|>' + message.role + '\\n' + text + '<|im_end|>' + '\\n' }}\n{%- endfor %}\n"
        "{{- ns.last }}{%- if add_generation_prompt %}\n{{- '<|im_start|>assistant\\n' }}\n{%- endif %}"
    ),
    "Llama 2": (
        "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}{{ '<<SYS>>\\n' + m['content']|trim }}"
        "{% elif m['role'] == 'user' %}{{ '[INST] ' + m['content'] | trim + ' [/INST]' }}"
        "{% else %}{{ ' ' + m['content'] + eos_token }}{% endif %}{% endfor %}"
    ),
    "filters": (
        "{% macro show(m) -%}\n  {{ m | tojson(indent=2) }} {{ m.content | e | upper }}\n{%- endmacro %}\n"
        "{% for m in messages if m.content is defined %}\n  {% if loop.index > 3 %}{% break %}{% endif %}\n"
        "{{ show(m) }} {{ dict(a=m.role) | tojson }} {{ tools is none }}{{ documents is none }}\n"
        "{% generation %}{{ m.content.strip() }}{% endgeneration %}\n{% endfor %}"
        "{{ messages | map(attribute='role') | join(', ') }}{{ undefined_name }}{{ range(3) | list }}"
    ),
}
VALUES = {"messages": TURNS, "tools": None, "documents": None, "bos_token": "<s>", "eos_token": "</s>"}


@pytest.mark.parametrize("kind", REAL)
@pytest.mark.parametrize("to_answer", [True, False])
def test_a_template_writes_what_it_writes_in_transformers(kind: str, to_answer: bool) -> None:
    tokenizer = make_tokenizer()
    tokenizer.bos_token, tokenizer.eos_token = "<s>", "</s>"
    expected = tokenizer.apply_chat_template(
        TURNS, chat_template=REAL[kind], tokenize=False, add_generation_prompt=to_answer
    )
    assert templates.render(REAL[kind], {**VALUES, "add_generation_prompt": to_answer}, 10_000) == expected


REFUSED = {
    "asked to": ("{{ raise_exception('no system role') }}", "^no system role$"),
    "no template": ("{% for", "unexpected"),
    "a way out by classes": ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "unsafe"),
    "a way out by globals": ("{{ raise_exception.__globals__.values() }}", "unsafe"),
    "a way out by format": ("{{ '{0.__class__.__mro__}'.format(1) }}", "unsafe"),
    "a way out by a filter": ("{{ messages | map(attribute='__class__') | first | attr('mro') }}", "unsafe"),
    "a name of Python's own": ("{{ namespace(__class__=1) }}", "may not hold"),
    "another file": ("{% include '/etc/passwd' %}", "loader"),
    "a recursion": ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "RecursionError"),
    "no Unicode": ("{{ '\\ud800' }}", "no valid Unicode"),
    "a fault": ("{{ 1 // 0 }}", "ZeroDivisionError"),
    "a change of what it was given": ("{{ messages.append(1) }}", "unsafe"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_a_template_may_not_do_is_its_refusal(kind: str) -> None:
    template, words = REFUSED[kind]
    with pytest.raises(Refused, match=words):
        templates.render(template, VALUES, 1000)


BEYOND = {
    "1 s of work": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "MB of memory": "{{ 'x' * 10**11 }}",
    "far more": "{% for i in range(99999) %}xxxx{% endfor %}",
}


@pytest.mark.parametrize("words", BEYOND)
def test_a_template_beyond_its_bounds_is_stopped_and_the_next_one_is_rendered(words: str) -> None:
    with pytest.raises(LabError, match=words):
        templates.render(BEYOND[words], VALUES, 1000)
    assert templates.render("{{ bos_token }}", VALUES, 1000) == "<s>"


def test_a_very_long_template_is_not_read() -> None:
    with pytest.raises(LabError, match="longer than 1 MB"):
        templates.render("x" * (2**20 + 1), VALUES, 2**22)


def test_the_process_ends_with_the_one_that_it_serves() -> None:
    code = (
        "import os, signal\nfrom rlhf_lab.engine import templates\n"
        "templates.render('x', {}, 9)\nprint(templates._RENDERER._child.pid, flush=True)\nos.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    try:
        psutil.Process(int(done.stdout)).wait(10)
    except psutil.NoSuchProcess:
        return
    assert not psutil.pid_exists(int(done.stdout))


def test_the_process_can_open_nothing_and_start_nothing() -> None:
    code = (
        "import os, socket\nfrom rlhf_lab.engine import template_child\ntemplate_child._limit()\n"
        "for act in (lambda: open('/etc/hostname'), socket.socket, os.pipe):\n"
        "    try:\n        act()\n    except OSError as error:\n        print(error.errno)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=environment, timeout=60)
    assert done.stdout.split() == [b"24", b"24", b"24"]
