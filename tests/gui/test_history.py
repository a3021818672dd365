from rlhf_lab.core.diagnosis import RewardDiagnosis
from rlhf_lab.core.events import Changed, Diagnosis, Finished, Metrics, Resumed, SampleRow, Samples, Started
from rlhf_lab.gui.models.history import RunHistory


def told(steps, first=0.0) -> list[Metrics]:
    return [Metrics(step=step, values={"objective/kl": first + step}) for step in steps]


def test_resuming_supersedes_curves_samples_and_changes() -> None:
    history = RunHistory("ppo-1")
    row = SampleRow(prompt="p", completion="c")
    history.feed([Started(device="cpu"), *told(range(10)), Changed(step=8, field="kl_coef", value=0.1)])
    history.feed([Samples(step=4, name="heldout", rows=(row,)), Samples(step=9, name="heldout", rows=(row,))])
    history.feed([Diagnosis(step=step, found=RewardDiagnosis(ece=step / 100)) for step in (4, 9)])
    history.feed([Finished(outcome="stopped")])

    history.feed([Resumed(step=5, device="cpu"), *told(range(6, 8), first=100.0)])

    assert history.curves["objective/kl"].values.tolist() == [0, 1, 2, 3, 4, 5, 106, 107]
    assert history.sample_steps("heldout") == [4]
    assert history.diagnoses == {4: RewardDiagnosis(ece=0.04)}
    assert history.changes == []
    assert history.finished is None


def test_events_that_were_stored_already_change_nothing() -> None:
    history = RunHistory("ppo-1")
    history.load_curves({"objective/kl": ([0, 1, 2], [0.0, 1.0, 2.0])})

    history.feed([*told([1, 2]), *told([3])])

    assert history.curves["objective/kl"].values.tolist() == [0, 1, 2, 3]


def test_samples_of_a_step_are_those_of_the_last_one_before_it() -> None:
    history = RunHistory("sft-1")
    for step in (0, 20):
        history.feed([Samples(step=step, name="heldout", rows=(SampleRow(prompt="p", completion=str(step)),))])

    assert history.samples_at("heldout", 19)[0].completion == "0"
    assert history.samples_at("heldout", 25)[0].completion == "20"
    assert history.samples_at("rollout", 25) == ()
