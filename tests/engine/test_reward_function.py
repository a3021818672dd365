"""A person's reward function in its own process: what it gives, and every way in which it can go wrong."""

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from rlhf_lab.core.control import StopRequested
from rlhf_lab.core.errors import LabError
from rlhf_lab.engine import reward_function
from rlhf_lab.engine.backbone import Backbone
from rlhf_lab.engine.prompts import Asked
from rlhf_lab.engine.reward_function import FunctionFailedError, FunctionProcess, start_reward_function
from rlhf_lab.engine.scoring import Episodes
from tests.engine.conftest import prompt

Start = Callable[..., FunctionProcess]
NAME = "/home/ada/größe.py"
HEAD = "def reward(prompts, answers, tags):\n"


def quiet() -> None:
    pass


@pytest.fixture
def start() -> Iterator[Start]:
    """Start the process of a source; its seconds bound hangs, and nothing else here waits."""
    started: list[FunctionProcess] = []

    def make(source: str, seconds: float = 60.0) -> FunctionProcess:
        started.append(FunctionProcess(textwrap.dedent(source), NAME, seconds))
        return started[-1]

    yield make
    for process in started:
        process.close()


def ask(process: FunctionProcess, answers: tuple[str, ...] = ("yes", "no"), tick: Callable[[], None] = quiet):
    return process([f"Q{i}" for i in range(len(answers))], answers, [{"n": i} for i in range(len(answers))], tick)


def failure(process: FunctionProcess, **asked: object) -> FunctionFailedError:
    with pytest.raises(FunctionFailedError) as caught:
        ask(process, **asked)
    return caught.value


def test_it_gets_texts_and_tags_and_gives_numbers_batch_after_batch(start: Start) -> None:
    process = start(
        """
        import json, re
        calls = []
        def reward(prompts, answers, tags):
            calls.append(1)
            assert prompts[0] == "Q0"
            return [len(a) + t["n"] / 2 + 100 * len(calls) for a, t in zip(answers, tags)]
        """
    )
    assert ask(process) == [103.0, 102.5]
    assert ask(process, ("", "\ud800 ö\n")) == [200.0, 204.5]


@pytest.mark.parametrize("result", ["(True, 2)", "(x for x in (1, 2))", "iter([1.0, 2])", "{1: 0, 2: 0}.keys()"])
def test_any_row_of_numbers_will_do(start: Start, result: str) -> None:
    assert ask(start(f"{HEAD}    return {result}")) == [1.0, 2.0]


def test_numbers_of_torch_are_numbers(start: Start) -> None:
    assert ask(start(f"import torch\n{HEAD}    return torch.tensor([0.5, -2])")) == [0.5, -2.0]


@pytest.mark.parametrize(
    ("source", "line", "words"),
    [
        (f"{HEAD}    n = len(answers)\n    return [1 / (n - 2)]", 3, "ZeroDivisionError: division by zero"),
        (f"def inner(x):\n    return x['a']\n\n{HEAD}    return [inner(t) for t in tags]", 2, "KeyError: 'a'"),
        (f"import json\n{HEAD}    return json.loads('{{')", 3, "JSONDecodeError: Expecting property name"),
        (f"{HEAD}    yield 1.0\n    raise ValueError('a\\nb')", 3, "ValueError: a b"),
        (f"import sys\n{HEAD}    sys.exit('bye')", 3, "SystemExit: bye"),
        (f"{HEAD}    return reward(prompts, answers, tags)", 2, "RecursionError: maximum recursion depth"),
        (f"{HEAD}    return bytearray(1 << 45)", 2, "MemoryError"),
        (
            f"class Odd(Exception):\n    def __str__(self):\n        raise ValueError\n{HEAD}    raise Odd",
            5,
            "Odd",
        ),
        ("import nowhere_to_be_found\n", 1, "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("\n\ndef reward(:\n", 3, "SyntaxError: invalid syntax"),
        ("raise SystemExit", 1, "SystemExit"),
        ("reward = 3", None, "it has no function reward(prompts, answers, tags)"),
        (f"\n\n{HEAD}    return [1.0]", 3, "it returned 1 numbers for 2 answers"),
        (f"{HEAD}    return iter(int, 1)", 1, "it returned more than 2 numbers for 2 answers"),
        (f"{HEAD}    answers.sort()", 1, "it returned None instead of a list of 2 numbers"),
        (f"{HEAD}    return 'good'", 1, "it returned 'good' instead of a list"),
        (f"{HEAD}    return [1.0, '2.0']", 1, "it returned '2.0' for answer 2, which is no number"),
        (f"{HEAD}    return [1.0, None]", 1, "it returned None for answer 2, which is no number"),
        (f"{HEAD}    return [[1.0], 2.0]", 1, "it returned [1.0] for answer 1, which is no number"),
        (f"{HEAD}    return [float('nan'), 1]", 1, "it returned nan for answer 1"),
        (f"{HEAD}    return [1, float('-inf')]", 1, "it returned -inf for answer 2"),
        (f"{HEAD}    return [1, 10 ** 400]", 1, "for answer 2, which is no number"),
        (f"import os\n{HEAD}    os._exit(3)", 2, "it ended its process (exit status 3)"),
        (f"import os\n{HEAD}    os.kill(os.getpid(), 9)", 2, "its process was ended by signal 9"),
        (f"import os, signal\n{HEAD}    os.kill(os.getpid(), signal.SIGSEGV)", 3, "it crashed: Fatal Python error"),
    ],
)
def test_what_goes_wrong_is_said_with_the_line(start: Start, source: str, line: int | None, words: str) -> None:
    found = failure(start(source))
    assert words in found.what
    assert found.line == line


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("n = 0\n    while True:\n        n += 1", 4),
        ("import re\n    return [re.search('(a+)+$', 'a' * 60 + 'b')]", 3),  # holds the interpreter's lock
    ],
)
def test_a_hang_is_ended_at_the_limit_and_named(start: Start, body: str, line: int) -> None:
    found = failure(start(f"{HEAD}    {body}", seconds=0.5))
    assert found.what == "it took longer than 0.5 s for 2 answers"
    assert found.line in (line, line - 1)


def test_a_process_that_does_not_even_answer_the_limit_is_killed(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reward_function, "_GRACE_S", 0.5)
    process = start(f"import os, signal\n{HEAD}    os.kill(os.getpid(), signal.SIGSTOP)", seconds=1)
    found = failure(process)
    assert (found.what, found.line) == ("it took longer than 1 s for 2 answers", 2)
    assert process._process.returncode == -9


def test_what_it_prints_reaches_neither_the_protocol_nor_memory(
    start: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    process = start(
        f"""
import os, sys
{HEAD}
    print("seen", flush=True)
    os.write(1, b'{{"scores": [9, 9]}}\\n')
    for _ in range(200):
        sys.stdout.write("x" * 100_000)
        sys.stderr.write("y" * 10_000)
    assert sys.stdin.read() == ""
    return [1, 2]
"""
    )
    assert ask(process) == [1.0, 2.0]
    assert ask(process) == [1.0, 2.0]
    process.close()
    printed = capfd.readouterr().err
    assert printed.startswith("seen\n")
    assert len(printed) <= reward_function._MOST_PRINTED


def test_children_that_it_starts_go_with_it(start: Start, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    process = start(
        f"""
import os, subprocess, sys
{HEAD}
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    orphan = int(subprocess.check_output(["sh", "-c", "sleep 600 >/dev/null & echo $!"]))
    with open({str(pids)!r}, "w") as file:
        file.write(f"{{child.pid}} {{orphan}}")
    return [1, 2]
"""
    )
    assert ask(process) == [1.0, 2.0]
    children = [psutil.Process(int(pid)) for pid in pids.read_text().split()]
    process.close()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert [child for child in alive if child.status() != psutil.STATUS_ZOMBIE] == []


if sys.platform == "linux":  # elsewhere a process that left its session cannot be found again

    def test_what_it_forks_twice_into_another_session_goes_with_it(start: Start, tmp_path: Path) -> None:
        place = tmp_path / "pid"
        process = start(
            f"""
import os, time
{HEAD}
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(writing, str(os.getpid()).encode())
            time.sleep(600)
        os._exit(0)
    os.wait()
    with open({str(place)!r}, "wb") as file:
        file.write(os.read(reading, 100))
    return [1, 2]
"""
        )
        assert ask(process) == [1.0, 2.0]
        escaped = psutil.Process(int(place.read_text()))
        assert escaped.ppid() == process._process.pid
        process.close()
        _, alive = psutil.wait_procs([escaped], timeout=10)
        assert [child for child in alive if child.status() != psutil.STATUS_ZOMBIE] == []


def test_a_copy_of_itself_that_it_forks_says_nothing(start: Start) -> None:
    process = start(f"import os, threading\n{HEAD}    return [float(os.fork() == 0), 2]")
    assert ask(process) == [0.0, 2.0]
    assert ask(process) == [0.0, 2.0]


def test_a_stop_is_heard_while_it_works_and_a_pause_costs_no_time(start: Start) -> None:
    ticks: list[int] = []

    def stop_at_the_third() -> None:
        ticks.append(1)
        if len(ticks) == 3:
            raise StopRequested

    process = start(f"import time\n{HEAD}    time.sleep(600)")
    with pytest.raises(StopRequested):
        ask(process, tick=stop_at_the_third)
    assert process._process.returncode is not None


def test_it_meets_an_empty_process(start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    source = f"import os, sys\nassert os.listdir() == []\nimport beside\n{HEAD}    return []"
    found = failure(start(source))
    assert (found.what, found.line) == ("ModuleNotFoundError: No module named 'beside'", 3)
    lab = "import sys\nassert not [m for m in sys.modules if m.startswith(('rlhf_lab', 'torch'))]\n"
    assert ask(start(f"{lab}{HEAD}    return [1, 2]")) == [1.0, 2.0]


def test_nothing_is_left_when_the_last_reference_goes(start: Start) -> None:
    process = FunctionProcess(f"import os\nopen('mine', 'w').close()\n{HEAD}    return [1, 2]", NAME, 60)
    assert ask(process) == [1.0, 2.0]
    child = psutil.Process(process._process.pid)
    place = Path(child.cwd())
    assert (place / "mine").is_file()
    del process
    assert not child.is_running()
    assert not place.exists()


def test_the_error_of_a_run_names_the_persons_file_line_and_code(backbone: Backbone, tmp_path: Path) -> None:
    copy = tmp_path / "reward_function.py"
    copy.write_text(f"\ufeff# mine\n{HEAD}    return [int(tags[0]['answer'])]\n", encoding="utf-8")
    source = start_reward_function(copy, NAME, 60, backbone.tokenizer)
    asked = prompt("2 + 2?").model_copy(update={"tags": {"answer": "four"}})
    episodes = Episodes(Asked([asked], [[1, 2, 3]]), [backbone.tokenizer.encode("It is four.")])
    with pytest.raises(LabError) as caught:
        source(episodes, quiet)
    assert str(caught.value) == (
        f"The reward function {NAME}, line 3 (return [int(tags[0]['answer'])]): ValueError: invalid literal for int() "
        "with base 10: 'four'. Correct the file, approve it and start a new run."
    )
    with pytest.raises(LabError, match="cannot be read: No such file"):
        start_reward_function(tmp_path / "gone.py", NAME, 60, backbone.tokenizer)


def test_its_memory_and_files_have_bounds(start: Start) -> None:
    source = f"""
import os, resource
{HEAD}
    assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0
    return [float(resource.getrlimit(what)[0]) for what in (resource.RLIMIT_AS, resource.RLIMIT_FSIZE)]
"""
    memory, file = ask(start(source))
    assert 0 < memory <= max(4 << 30, psutil.virtual_memory().total)
    assert file == 1 << 30
