"""The project's log: whole lines from many processes, rotated, private, without secrets."""

import logging
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from rlhf_lab.runs import host, project_log
from rlhf_lab.runs.project_log import last_lines, logging_to

LOG = logging.getLogger("rlhf_lab.test")


def fall(words: str) -> None:
    try:
        raise KeyError(words)
    except KeyError as error:
        raise ValueError("it fell") from error


def test_lines_say_when_how_bad_and_who_and_exceptions_where(tmp_path: Path) -> None:
    with logging_to(tmp_path):
        LOG.info("opened")
        LOG.debug("unheard")
        try:
            fall("a name")
        except ValueError:
            LOG.exception("on the way")
    LOG.warning("nobody logs any more")
    first, *rest = (tmp_path / "lab.log").read_text().splitlines()
    assert re.fullmatch(rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z INFO {os.getpid()} opened", first)
    here = r"    tests/runs/test_project_log\.py:\d+ "
    for line, words in zip(
        rest,
        [
            rf".* ERROR {os.getpid()} on the way",
            here + r"fall: raise KeyError\(words\)",
            "    KeyError: 'a name'",
            "    which led to",
            here + r"test_.*: fall\(\"a name\"\)",
            here + r"fall: raise ValueError\(\"it fell\"\) from error",
            "    ValueError: it fell",
        ],
        strict=True,
    ):
        assert re.fullmatch(words, line), (line, words)
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / "lab.log").stat().st_mode) == 0o600


def test_no_secret_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "not shaped like one")
    with logging_to(tmp_path):
        LOG.error("refused %s and %s", "hf_" + "a" * 30, "not shaped like one")
        try:
            fall("hf_" + "b" * 30)
        except ValueError:
            LOG.exception("with %s", "hf_" + "c" * 30)
    text = (tmp_path / "lab.log").read_text()
    assert text.count("<token>") == 4
    assert not re.search(r"hf_\w{8}|not shaped", text)


def test_it_is_rotated_and_three_files_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project_log, "MOST_BYTES", 1000)
    with logging_to(tmp_path):
        for n in range(100):
            LOG.info("line %d %s", n, "x" * 50)
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert set(sizes) == {"lab.log", "lab.log.1", "lab.log.2"}
    assert all(size <= 1000 for size in sizes.values())
    newest = last_lines(tmp_path, 12)
    assert [line.split()[4] for line in newest] == [str(n) for n in range(88, 100)], "across two files"


def test_many_processes_write_whole_lines_and_lose_none_while_it_rotates(tmp_path: Path) -> None:
    script = """
import logging, sys
from pathlib import Path
from rlhf_lab.runs import project_log
project_log.MOST_BYTES = 20_000
project_log.OLD_FILES = 30
with project_log.logging_to(Path(sys.argv[1])):
    for n in range(300):
        logging.getLogger("rlhf_lab").info("w%s %d %s", sys.argv[2], n, "y" * 100)
"""
    writers = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path), str(n)]) for n in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    said = [line.split()[3:] for path in tmp_path.glob("lab.log*") for line in path.read_text().splitlines()]
    assert len(said) == 900
    assert all(line == "y" * 100 for *_, line in said)
    assert len({(who, n) for who, n, _ in said}) == 900


def test_a_line_is_not_lost_when_another_process_has_just_put_the_full_file_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "lab.log"

    def lock(_: object) -> bool:
        file.rename(tmp_path / "lab.log.1")
        return True

    monkeypatch.setattr(project_log, "MOST_BYTES", 100)
    with logging_to(tmp_path):
        LOG.info("first %s", "x" * 50)
        monkeypatch.setattr(host, "lock", lock)
        LOG.info("second %s", "x" * 50)
    assert [line.split()[3] for line in last_lines(tmp_path, 5)] == ["first", "second"]


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "lab.log").mkdir()
    with logging_to(tmp_path):
        LOG.info("into the void")
    assert last_lines(tmp_path, 5) == []
