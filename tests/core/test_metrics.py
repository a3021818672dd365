"""The catalogue of metrics."""

import pytest

from rlhf_lab.core.metrics import METRICS, Metric, describe


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)
def test_an_entry_can_be_shown_and_advises_where_it_judges(metric: Metric) -> None:
    assert metric.label
    assert metric.meaning.endswith(".")
    if metric.low is not None and metric.high is not None:
        assert metric.low < metric.high


def test_a_description_says_what_is_healthy_and_what_to_do() -> None:
    text = describe("objective/kl")
    assert text.startswith("KL (objective/kl). ")
    assert "Healthy: at least -1 and at most 25." in text
    assert text.endswith("stop.")
    assert describe("made/up") == "made/up"
