"""OpenAI's summaries of posts and articles: compared two by two, or each rated along several axes."""

from collections.abc import Hashable, Sequence
from typing import Any

from rlhf_lab.core.records import Completion, Message, Pair, Rated, Tag
from rlhf_lab.data.build import Builder, Turns, Unreadable, as_number, optional_text, said_of, text, unreadable, word
from rlhf_lab.data.families.family import Family
from rlhf_lab.data.rows import Row

_OVERALL = "overall"


def _prompt(row: Row) -> Turns:
    """The post as the paper's models saw it (Stiennon et al. 2020, appendix); news articles as they are."""
    info = row.get("info")
    if not isinstance(info, dict):
        unreadable("info", info, "an object with the post")
    if isinstance(info.get("article"), str) and not isinstance(info.get("post"), str):
        return (Message(role="user", content=f"{info['article']}\n\nTL;DR:"),)
    parts = [("SUBREDDIT: r/", "subreddit"), ("TITLE: ", "title"), ("POST: ", "post")]
    text(info, "post")
    said = [f"{before}{found}" for before, name in parts if (found := optional_text(info, name).strip())]
    return (Message(role="user", content="\n\n".join([*said, "TL;DR:"])),)


def _summary(value: object) -> Completion:
    if not isinstance(value, dict):
        unreadable("summaries", value, "a summary with its text")
    return Completion(text=text(value, "text").strip(), source=optional_text(value, "policy"))


def _tags(row: Row) -> dict[str, Tag]:
    tags: dict[str, Tag] = {"annotator": who} if (who := said_of(row.get("worker"))) else {}
    extra = row.get("extra")
    confidence = as_number(extra.get("confidence")) if isinstance(extra, dict) else None
    return tags if confidence is None else {**tags, "confidence": confidence}


def _read(row: Row, build: Builder) -> Pair:
    found = row.get("summaries")
    if not isinstance(found, list) or len(found) != 2:
        unreadable("summaries", found, "a list of two")
    choice = word(row.get("choice"))
    if choice not in ("0", "1"):
        unreadable("choice", row.get("choice"), "0 or 1, the place of the better summary")
    chosen, rejected = (_summary(found[int(choice)]), _summary(found[1 - int(choice)]))
    return build.pair(_prompt(row), chosen, rejected, tags=_tags(row))


def _axes(row: Row) -> dict[str, Any]:
    summary = row.get("summary")
    axes = summary.get("axes") if isinstance(summary, dict) else None
    return axes if isinstance(axes, dict) else {}


def _axis_names(row: Row) -> Sequence[str]:
    names = [name for name, value in _axes(row).items() if as_number(value) is not None]
    return sorted(names, key=lambda name: name != _OVERALL)


def _post(row: Row) -> Hashable:
    info = row.get("info")
    worker = row.get("worker")
    return (str(info.get("id")) if isinstance(info, dict) else None, str(worker))


def _read_axes(row: Row, build: Builder) -> Rated:
    rows = row["rows"]
    answers, ratings = [], []
    for one in rows:
        rating = as_number(_axes(one).get(build.rating))
        if rating is None:
            build.left_out[f"answers without a rating named {build.rating!r}"] += 1
            continue
        answers.append(_summary(one.get("summary")))
        ratings.append(rating)
    if len(answers) < 2:
        raise Unreadable(f"found {len(answers)} rated summary of this post by this worker, expected two or more")
    return build.rated(_prompt(rows[0]), answers, ratings, _tags(rows[0]))


OPENAI_COMPARISONS = Family(
    "OpenAI comparisons",
    "pair",
    ("info", "summaries", "choice", "worker", "extra"),
    "prompt = title and post; chosen = the summary that choice names; annotator = worker",
    lambda row: isinstance(row.get("info"), dict) and isinstance(row.get("summaries"), list) and "choice" in row,
    _read,
)
OPENAI_AXES = Family(
    "OpenAI axis ratings",
    "rated",
    ("info", "summary", "worker", "extra"),
    "prompt = title and post; the summaries of one post by one worker that follow each other, with one rating each",
    lambda row: isinstance(row.get("info"), dict) and bool(_axes(row)),
    _read_axes,
    note="Summaries were rated, not compared: two with different ratings become a pair before training.",
    ratings=_axis_names,
    together=_post,
)
