"""One run a device, in order; what waits can be cancelled, or have its turn earlier or later."""

from rlhf_lab.runs.queue import RunQueue


def test_one_at_a_time_in_order() -> None:
    queue = RunQueue()
    for run in ("sft-1", "sft-2", "sft-3"):
        queue.add(run, "cpu")
    assert queue.take() == ["sft-1"]
    assert queue.take() == []
    assert (queue.running(), queue.waiting()) == (["sft-1"], ["sft-2", "sft-3"])
    queue.finished("sft-1")
    assert queue.take() == ["sft-2"]


def test_devices_do_not_wait_for_each_other() -> None:
    queue = RunQueue()
    queue.add("sft-1", "cpu")
    queue.add("sft-2", "cuda")
    queue.add("sft-3", "cuda")
    assert queue.take() == ["sft-1", "sft-2"]


def test_what_waits_can_be_cancelled() -> None:
    queue = RunQueue()
    queue.add("sft-1", "auto")
    queue.add("sft-2", "auto")
    queue.take()
    assert queue.cancel("sft-2")
    assert not queue.cancel("sft-2")
    assert not queue.cancel("sft-1")
    queue.finished("sft-1")
    assert queue.take() == []


def test_an_attached_run_occupies_its_device() -> None:
    queue = RunQueue()
    queue.occupy("ppo-1", "cpu")
    queue.add("ppo-2", "cpu")
    assert queue.take() == []
    queue.finished("ppo-1")
    assert queue.take() == ["ppo-2"]


def test_what_waits_can_have_its_turn_earlier_or_later() -> None:
    queue = RunQueue()
    for run in ("sft-1", "sft-2", "sft-3", "sft-4"):
        queue.add(run, "cpu")
    queue.take()
    queue.move("sft-4", -1)
    assert queue.waiting() == ["sft-2", "sft-4", "sft-3"]
    queue.move("sft-2", 9)
    assert queue.waiting() == ["sft-4", "sft-3", "sft-2"]
    queue.move("sft-2", -9)
    queue.move("sft-1", 1)
    assert queue.waiting() == ["sft-2", "sft-4", "sft-3"]
    queue.finished("sft-1")
    assert queue.take() == ["sft-2"]
