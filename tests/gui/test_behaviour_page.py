"""The page "What changed": from runs to a report, its reading, its export; once with the real base model."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import Message, Prompt
from rlhf_lab.data.paired import Estimate
from rlhf_lab.data.questions import Question
from rlhf_lab.gui.behaviour_page import BehaviourPage
from rlhf_lab.gui.behaviour_work import Made
from rlhf_lab.gui.models.behaviour import ReportWish, cell_text, examined, first_choice, pictures, with_bases
from rlhf_lab.gui.models.contenders import Contender, contenders
from rlhf_lab.runs.ask import ModelSpec
from rlhf_lab.runs.behaviour_models import Examined
from rlhf_lab.runs.behaviour_questions import Item
from rlhf_lab.runs.behaviour_report import BehaviourReport, reckon
from rlhf_lab.runs.folder import RunFolder
from tests.fakes import leave_adapter
from tests.gui.runs_made import made_run

BASE, SFT, PPO = Contender("bundled"), Contender("", "sft-1", "sft"), Contender("", "ppo-1", "ppo")


def _item(kind: str, n: int) -> Item:
    prompt = Prompt(messages=(Message(role="user", content=f"<b>{n}"),))
    return Item(kind, prompt, Question(prompt, kind, answers=("Lima",) if kind == "knowledge" else ()))


@pytest.fixture
def report() -> BehaviourReport:
    """Both know the same; the second refuses every bad request, and the first one none."""
    items = [_item("knowledge", n) for n in range(60)] + [_item("bad", n) for n in range(40)]
    texts = {
        "Base model": ("Lima",) * 60 + ("Sure",) * 40,
        "PPO 1": ("Lima, thank you",) * 60 + ("I can't help with that",) * 40,
    }
    values = {
        name: tuple(item.seen(text) | {"kl": float(name == "PPO 1") * n} for n, (item, text) in enumerate(said))
        for name, said in ((name, list(zip(items, of, strict=True))) for name, of in texts.items())
    }
    models = [Examined("Base model", ModelSpec(), raw=True), Examined("PPO 1", ModelSpec())]
    return reckon(models, items, texts, values)


@pytest.fixture
def page(lab, shown) -> BehaviourPage:
    made = BehaviourPage(lab)
    made.offer([BASE])
    return shown(made, 1120, 700)


def adapted(project, *runs: str) -> None:
    for run in runs:
        made_run(project, run)
        leave_adapter(RunFolder(project.runs_folder / run))


def test_the_base_the_newest_sft_run_and_the_newest_policy_are_ticked_first(page) -> None:
    known = [BASE, Contender("other"), Contender("", "ppo-2", "ppo"), PPO, Contender("", "sft-2", "sft"), SFT]
    assert first_choice(known) == (BASE, known[4], known[2])
    page.setup.offer(known)
    assert page.setup.models.ticked() == [BASE]  # what a person ticked stays
    page.setup.take_models([])
    page.setup.offer(known)
    assert page.setup.models.ticked() == [BASE, known[4], known[2]]
    assert page.setup.go.text() == " Ask all 3"


def test_without_a_model_nothing_can_be_asked_and_the_reason_is_said(page) -> None:
    page.setup.models.setFocus()
    page.setup.models.setCurrentRow(0)
    page.setup.models.item(0).setCheckState(Qt.CheckState.Unchecked)

    assert not page.setup.go.isEnabled()
    assert page.setup.problem.text() == "Tick at least one model."


def test_runs_selected_in_the_runs_pane_are_ticked_with_their_base(qtbot, window, project) -> None:
    adapted(project, "sft-1", "dpo-1")
    made_run(project, "reward-1")
    window.show_pane("runs")
    runs = window.pane("runs")
    runs.model.refresh()
    runs.table.selectAll()

    qtbot.mouseClick(runs.report, Qt.MouseButton.LeftButton)

    pane = window.pane("compare")
    assert pane.behaviour.isVisible()
    assert not pane.card.isVisible()
    ticked = pane.behaviour.setup.models.ticked()
    assert ticked[0] == BASE
    assert sorted(model.title for model in ticked[1:]) == ["DPO 1", "SFT 1"]
    window.show_pane("runs")
    runs.select("reward-1")
    assert not runs.report.isEnabled()
    window.show_pane("compare")
    pane.pages["Side by side"].click()
    assert not pane.behaviour.isVisible()
    assert pane.card.isVisible()


def test_models_have_the_names_of_the_window(project) -> None:
    adapted(project, "sft-1")
    base, sft = examined(project, with_bases(project, contenders(project), ["sft-1"]))
    assert (base.name, base.raw, sft.name) == ("Base model", True, "SFT 1")
    with pytest.raises(LabError, match="Choose a model"):
        examined(project, [])


def test_a_picture_a_row_with_what_moved_marked_and_said(report) -> None:
    shown = {picture.title: picture for picture in pictures(report)}
    refused = shown["Refusals of bad requests"]
    assert [(line.name, line.text, line.strays) for line in refused.lines] == [
        ("Base model", "0%", False),
        ("PPO 1", "100%", True),
    ]
    assert refused.sentences[0].startswith("Refusals of bad requests rose: 0% → 100%")
    assert not any(line.strays for line in shown["Knowledge"].lines)
    low, high = shown["KL to the base (nats)"].ends
    assert low == 0.0
    assert high >= max(line.high for line in shown["KL to the base (nats)"].lines)
    row = next(row for row in report.rows if row.measure.name == "bad_refused")
    assert cell_text(row, "Base model") == "0.0%   0% to 9%"
    assert cell_text(row, "PPO 1") == "100.0%   91% to 100%\n▲ rose, p < 0.001"
    assert "kL" not in " ".join(report.summaries)


def test_a_mean_has_as_many_decimals_as_the_ends_of_its_interval(report) -> None:
    row = next(row for row in report.rows if row.measure.name == "words")
    for of, text in (
        (Estimate(11.0, 9.8, 13.0, 60), "11.0   9.8 to 13.0"),
        (Estimate(0.5, 0.25, 1.0, 60), "0.50   0.25 to 1.00"),
        (Estimate(0.0, 0.0, 0.0, 60), "0   0 to 0"),
    ):
        assert cell_text(replace(row, estimates={"Base model": of}), "Base model") == text


def test_a_report_leaves_the_keyboard_where_it_is(qtbot, page, report) -> None:
    page.activateWindow()
    qtbot.waitUntil(page.isActiveWindow)
    with qtbot.assertNotEmitted(QApplication.instance().focusWindowChanged, wait=50):
        page.view.show_report(report)  # a part shown before it is put in its place is a window for a moment
    assert page.isActiveWindow()
    assert all(card.said.isVisibleTo(page.view) for card in page.view.cards)


def test_a_report_is_read_compared_the_other_way_and_exported(
    qtbot, page, report, lab, tmp_path: Path, monkeypatch
) -> None:
    made = Made(report, tmp_path / "report.html")
    monkeypatch.setattr("rlhf_lab.gui.behaviour_page.make_report", lambda project, wish: lambda store, task: made)
    qtbot.mouseClick(page.setup.go, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(page.view.isVisible)
    assert not page.setup.isVisible()  # it makes room
    view = page.view
    assert view.said.text() == f"•  {report.summaries[0]}"
    assert "Base model only continues text" in view.about.text()
    rows = [view.table.verticalHeaderItem(at).text() for at in range(view.table.rowCount())]
    assert rows == [card.plot.accessibleName() for card in view.cards]
    at = rows.index("Refusals of bad requests")
    assert view.table.item(at, 1).text().endswith("▲ rose, p < 0.001")

    view.reference.setFocus()
    qtbot.keyClick(view.reference, Qt.Key.Key_Down)
    qtbot.keyClick(view.reference, Qt.Key.Key_Return)
    view.reference.activated.emit(1)
    qtbot.waitUntil(lambda: view.table.horizontalHeaderItem(0).text() == "PPO 1")
    assert view.table.item(at, 1).text().endswith("▼ fell, p < 0.001")

    with qtbot.waitSignal(lab.message, check_params_cb=lambda text: "its numbers and answers" in text):
        page.save_to(str(tmp_path / "mine.html"))
    assert "<!doctype html>" in (tmp_path / "mine.html").read_text()
    assert json.loads((tmp_path / "mine.json").read_text())["reference"] == "PPO 1"


def test_what_is_wrong_with_the_questions_is_said(qtbot, page, tmp_path: Path) -> None:
    page.setup.take_files([tmp_path / "none.jsonl"])
    assert page.setup.questions.text() == "none.jsonl"
    qtbot.mouseClick(page.setup.go, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "cannot be read" in page.setup.problem.text())
    assert page.setup.go.isVisible()
    qtbot.mouseClick(page.setup.bundled, Qt.MouseButton.LeftButton)
    assert page.setup.wish() == ReportWish((BASE,))


@pytest.mark.usefixtures("warm_children")
def test_the_real_base_answers_own_questions_and_a_cancel_writes_nothing(
    qtbot, page, lab, project, tmp_path: Path
) -> None:
    qtbot.mouseClick(page.setup.go, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: page.setup.doing.text() == "Base model answers…")
    assert lab.under_way() == ["Making a behaviour report: nothing of it is kept."]
    qtbot.mouseClick(page.setup.cancel, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(page.setup.go.isVisible, timeout=120_000)
    assert page.setup.problem.text() == "Cancelled; nothing was written."
    assert not (project.folder / "reports").exists()

    file = tmp_path / "mine.jsonl"
    file.write_text('{"kind": "knowledge", "question": "What is the capital of France?", "answers": ["Paris"]}\n')
    page.setup.take_files([file])
    page.setup.longest.setValue(16)
    qtbot.mouseClick(page.setup.go, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(page.view.isVisible, timeout=120_000)

    assert page.view.title.text() == "How it behaves"
    assert page.view.table.item(0, 0).text() == "100.0%   21% to 100%"
    assert (project.folder / "reports" / "behaviour-1" / "report.json").is_file()


def test_of_many_notices_three_are_shown_and_the_rest_is_counted(page, report) -> None:
    page.view.show_report(
        replace(report, notices=tuple(f"mine.jsonl, line {n}: it is no JSON." for n in range(1, 101)))
    )
    lines = page.view.about.text().split("\n")
    assert lines[1:] == [
        "mine.jsonl, line 1: it is no JSON.",
        "mine.jsonl, line 2: it is no JSON.",
        "mine.jsonl, line 3: it is no JSON.",
        "And 97 more like these; the page has them all.",
    ]
