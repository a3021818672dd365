"""What is looked for in the records of a data set, beside the window."""

from typing import TYPE_CHECKING

from rlhf_lab.gui.background import Background, Work

if TYPE_CHECKING:
    from rlhf_lab.store import Filters, Store

_MOST_SOURCES = 100


def sources(name: str) -> Work:
    """Work for `Lab.in_background`: the data set, and who wrote answers, most first."""

    def work(store: "Store", task: Background) -> tuple[str, list[str]]:
        return name, [source for source, _ in store.sources(name) if source][:_MOST_SOURCES]

    return work


def finding(name: str, filters: "Filters") -> Work:
    """Work for `Lab.in_background`: parts are ids of the records that pass, in order."""

    def work(store: "Store", task: Background) -> None:
        for ids in store.find(name, filters):
            if task.cancelled():
                return
            if ids:
                task.part.emit(ids)

    return work
