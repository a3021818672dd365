"""Every form of export: what it holds is imported unchanged, what it cannot hold is counted."""

import csv
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlhf_lab.core.errors import LabError
from rlhf_lab.core.records import (
    AnyRecord,
    Candidates,
    Completion,
    Demonstration,
    Message,
    Pair,
    Prompt,
    PromptOnly,
    Ranking,
    Rated,
    Unpaired,
)
from rlhf_lab.data.export import KINDS, ExportResult, Form, export
from rlhf_lab.data.importer import import_files
from rlhf_lab.data.source import ImportCancelled
from rlhf_lab.store import Store
from tests.data.record_strategies import BY_KIND, RECORDS


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "lab.sqlite") as store:
        yield store


def put(store: Store, name: str, records: list[AnyRecord]) -> None:
    with store.new_dataset(name, "test", "mixed") as writer:
        writer.add(records)


def asked(text: str) -> Prompt:
    return Prompt(messages=(Message(role="user", content=text),))


def pair(text: str, chosen: str = "a", rejected: str = "b", **more: Any) -> Pair:
    return Pair(prompt=asked(text), chosen=Completion(text=chosen), rejected=Completion(text=rejected), **more)


THREE = (Completion(text="a"), Completion(text="b"), Completion(text="c"))


def exported_and_imported(records: list[AnyRecord], form: Form, **more: Any) -> tuple[ExportResult, list[AnyRecord]]:
    """What was written, and the records that an import makes of it."""
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "lab.sqlite") as store:
        put(store, "first", records)
        file = Path(folder) / "second"
        result = export(store, "first", file, form, **more)
        (again,) = import_files([file], store)
        assert again.problems == []
        assert again.records == result.records
        return result, list(store.records("second"))


def unique(record: AnyRecord) -> str:
    return record.prompt.text


@settings(max_examples=30, deadline=None)
@given(
    st.lists(RECORDS, min_size=1, max_size=6, unique_by=unique),
    st.sampled_from(["native", "csv", "parquet"]),
    st.booleans(),
)
def test_what_the_labs_own_forms_hold_is_everything(records: list[AnyRecord], form: Form, escape: bool) -> None:
    result, again = exported_and_imported(records, form, escape_formulas=escape)
    assert (result.records, result.left_out) == (len(records), {})
    assert again == records


FOREIGN = [
    (form, kind)
    for form in ("trl", "trl-conversational", "hh", "ultrafeedback", "argilla")
    for kind in sorted(KINDS[form])
]


@pytest.mark.parametrize(("form", "kind"), FOREIGN)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
@given(data=st.data())
def test_what_another_tools_form_holds_is_imported_unchanged(form: Form, kind: str, data: st.DataObject) -> None:
    records = data.draw(st.lists(BY_KIND[kind], min_size=1, max_size=5, unique_by=unique))
    # One that every form holds, beside those that it may not.
    plain: dict[str, AnyRecord] = {
        "prompt": PromptOnly(prompt=asked("plain")),
        "demonstration": Demonstration(prompt=asked("plain"), completion=Completion(text="a")),
        "unpaired": Unpaired(prompt=asked("plain"), completion=Completion(text="a"), label=True),
        "pair": pair("plain"),
        "ranking": Ranking(prompt=asked("plain"), completions=THREE, ranks=(1, 2, 2)),
        "rated": Rated(prompt=asked("plain"), completions=THREE, ratings=(1, 2, 2.5)),
    }
    records = [*(record for record in records if record.prompt.text != "plain"), plain[kind]]
    result, again = exported_and_imported(records, form)
    assert result.records + sum(result.left_out.values()) == len(records)
    kept = iter(records)
    assert all(record in kept for record in again), "a record was changed, or the order"
    if form in ("trl-conversational", "argilla") and kind == "pair":
        assert result.records == sum(1 for record in records if form == "argilla" or not record.model_dump()["tie"])


def test_what_a_form_cannot_hold_is_counted(store: Store, tmp_path: Path) -> None:
    several = Prompt(messages=(Message(role="system", content="S"), Message(role="user", content="Q")))
    records: list[AnyRecord] = [
        *(pair(f"Q{n}") for n in range(4)),
        pair("tie", tie=True),
        pair("spaces", "a", "b "),
        pair("speaker", "a\n\nAssistant: b", "a\n\nAssistant: c"),
        pair("several").model_copy(update={"prompt": several}),
        PromptOnly(prompt=asked("alone")),
        Ranking(prompt=asked("ranked"), completions=THREE, ranks=(1, 2, 2)),
    ]
    put(store, "d", records)

    def left_out(form: Form) -> dict[str, int]:
        result = export(store, "d", tmp_path / form, form)
        assert result.records == len(records) - sum(result.left_out.values())
        return result.left_out

    others = {"records of kind 'prompt' beside others": 1, "records of kind 'ranking'": 1}
    assert left_out("trl") == {"ties": 1, "prompts of several messages": 1, **others}
    assert left_out("trl-conversational") == {"ties": 1, **others}
    assert sum(left_out("hh").values()) == 6
    assert left_out("ultrafeedback") == {"records of kind 'prompt'": 1, "records of kind 'ranking'": 1}
    assert left_out("argilla") == {"records of kind 'prompt'": 1}
    assert left_out("csv") == {}
    note = export(store, "d", tmp_path / "note", "trl-conversational").note
    assert note.startswith("Left out, since this form cannot hold them: 1 ties; 1 records of kind")
    assert note.endswith("Forms that hold them: native, csv, parquet.")  # since no other tool's holds them all


def test_forms_that_would_hold_what_this_one_cannot_are_named(store: Store, tmp_path: Path) -> None:
    several = Prompt(messages=(Message(role="system", content="S"), Message(role="user", content="Q")))
    put(store, "talks", [Demonstration(prompt=several, completion=Completion(text="A"))])
    with pytest.raises(LabError, match=r"1 prompts of several messages\. Forms that hold them: trl-conversational\.$"):
        export(store, "talks", tmp_path / "out", "trl")
    long = Completion(text="a" * 2**20)
    put(store, "long", [pair("Q"), Candidates(prompt=several, completions=(long, *THREE))])
    assert export(store, "long", tmp_path / "cells", "csv").note.endswith("Forms that hold them: native, parquet.")
    put(store, "mixed", [*(pair(f"Q{n}") for n in range(2)), PromptOnly(prompt=asked("alone")), pair("tie", tie=True)])
    assert export(store, "mixed", tmp_path / "trl", "trl").fitting == ()
    put(store, "ties", [pair("Q"), pair("tie", tie=True)])
    assert export(store, "ties", tmp_path / "hh", "hh").fitting == ("ultrafeedback", "argilla")


def test_other_tools_find_their_columns(store: Store, tmp_path: Path) -> None:
    put(store, "d", [pair("Q", margin=2.0)])
    rows: dict[str, dict[str, Any]] = {}
    for form in KINDS:
        if form not in ("csv", "parquet"):
            export(store, "d", tmp_path / form, form)
            (line,) = (tmp_path / form).read_text(encoding="utf-8").splitlines()
            rows[form] = json.loads(line)
            rows[form].pop("lab", None)
    user = {"role": "user", "content": "Q"}
    better, worse = ({"role": "assistant", "content": text} for text in "ab")
    assert rows["trl"] == {"prompt": "Q", "chosen": "a", "rejected": "b"}
    assert rows["trl-conversational"] == {"prompt": [user], "chosen": [better], "rejected": [worse]}
    assert rows["hh"] == {"chosen": "\n\nHuman: Q\n\nAssistant: a", "rejected": "\n\nHuman: Q\n\nAssistant: b"}
    assert rows["ultrafeedback"]["chosen"] == rows["ultrafeedback"]["messages"] == [user, better]
    assert (rows["ultrafeedback"]["score_chosen"], rows["ultrafeedback"]["score_rejected"]) == (2.0, 0.0)
    assert rows["argilla"]["preference"][0]["value"] == [
        {"rank": 1, "value": "response1"},
        {"rank": 2, "value": "response2"},
    ]


@pytest.mark.parametrize("escape", [True, False])
def test_formulas_in_a_table_are_harmless_unless_asked_otherwise(escape: bool, store: Store, tmp_path: Path) -> None:
    put(store, "d", [pair("=HYPERLINK()", "+1", "@x"), pair("-1", "'=1", "\ty")])
    export(store, "d", tmp_path / "out.csv", "csv", escape_formulas=escape)
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        cells = [cell for row in csv.DictReader(file) for cell in (row["prompt"], row["chosen"], row["rejected"])]
    assert cells == (
        ["'=HYPERLINK()", "'+1", "'@x", "'-1", "''=1", "'\ty"]
        if escape
        else ["=HYPERLINK()", "+1", "@x", "-1", "''=1", "\ty"]
    )


def test_a_lab_column_that_is_not_ours_is_a_problem(store: Store, tmp_path: Path) -> None:
    row = {"prompt": "Q", "chosen": "a", "rejected": "b"}
    labs = [
        '{"split": "train"}',
        '{"split": "other"}',
        "x",
        "[" * 50_000,
        '{"split": "train", "sources": [1]}',
        "5",
        '{"split": "train", "tags": {"x": NaN}}',
    ]
    lines = [json.dumps({**row, "prompt": f"Q{n}", "lab": lab}) for n, lab in enumerate(labs)]
    (tmp_path / "d.jsonl").write_text("\n".join(lines))
    (result,) = import_files([tmp_path / "d.jsonl"], store)
    assert (result.records, [problem.line for problem in result.problems]) == (1, [2, 3, 4, 5, 6, 7])
    assert all(problem.reason.startswith("lab: found no valid entry") for problem in result.problems)


def test_one_split_alone_with_progress(store: Store, tmp_path: Path) -> None:
    put(store, "d", [pair(f"Q{n}", split="heldout" if n % 3 else "train") for n in range(3000)])
    seen: list[tuple[int, int]] = []
    result = export(
        store, "d", tmp_path / "out", "trl", split="heldout", progress=lambda done, total: seen.append((done, total))
    )
    assert result.records == 2000
    assert seen == [(1000, 2000), (2000, 2000)]
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("place", [".", "..", "/"])
def test_a_folder_is_no_file_to_write(store: Store, place: str) -> None:
    put(store, "d", [pair("Q")])
    with pytest.raises(LabError, match=r"is a folder\. Name the file to write"):
        export(store, "d", Path(place))


def test_an_export_that_fails_leaves_no_file(store: Store, tmp_path: Path) -> None:
    put(store, "d", [PromptOnly(prompt=asked("Q"))])
    with pytest.raises(LabError, match="cannot be written"):
        export(store, "d", tmp_path / "missing" / "out.jsonl")
    with pytest.raises(LabError, match="no data set named 'b'"):
        export(store, "b", tmp_path / "out.jsonl")
    with pytest.raises(ImportCancelled, match="no file was written"):
        export(store, "d", tmp_path / "out.jsonl", cancelled=lambda: True)
    with pytest.raises(LabError, match="No record of 'd' can be written in this form"):
        export(store, "d", tmp_path / "out.jsonl", "hh")
    with pytest.raises(LabError, match=r"There is no form 'pdf'\. There are: native, trl, trl-conversational"):
        export(store, "d", tmp_path / "out.jsonl", "pdf")  # type: ignore[arg-type]
    with pytest.raises(LabError, match=r"There is no form 'TRL-conv'\. Did you mean trl-conversational\?"):
        export(store, "d", tmp_path / "out.jsonl", "TRL-conv")  # type: ignore[arg-type]
    assert list(tmp_path.glob("*out*")) == []
