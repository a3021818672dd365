import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlhf_lab.gui.models.curves import BLOCK, Curve, decaying_sum

values = st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(float("nan"))), min_size=1, max_size=3 * BLOCK * BLOCK)


def curve_of(numbers, steps=None) -> Curve:
    curve = Curve()
    curve.load(range(len(numbers)) if steps is None else steps, numbers)
    return curve


def running_mean(steps, numbers, weight: float) -> list[float]:
    """The definition, word by word: a value that lies k steps back weighs weight ** k."""
    means = []
    for i in range(len(numbers)):
        pairs = [(weight ** (steps[i] - steps[j]), numbers[j]) for j in range(i + 1) if np.isfinite(numbers[j])]
        total = sum(w for w, _ in pairs)
        means.append(sum(w * v for w, v in pairs) / total if total else float("nan"))
    return means


@settings(max_examples=60, deadline=None)
@given(numbers=values, bins=st.integers(1, 60), data=st.data())
def test_what_is_drawn_has_the_extremes_and_the_last_point_of_what_is_in_view(numbers, bins, data) -> None:
    curve = curve_of(numbers)
    low = data.draw(st.integers(0, len(numbers) - 1))
    high = data.draw(st.integers(low, len(numbers) - 1))

    x, y = curve.drawn(low, high, bins)

    seen = np.array(numbers[max(low - 1, 0) : high + 2])
    known = seen[np.isfinite(seen)]
    assert np.all(np.diff(x) >= 0)
    assert len(x) <= 2 * bins + 2 * BLOCK or len(x) <= len(seen)
    if len(known):
        assert np.nanmin(y) <= known.min()
        assert np.nanmax(y) >= known.max()
    assert y[-1] == pytest.approx(seen[-1], nan_ok=True)


def test_a_million_points_are_drawn_as_a_few_thousand_with_a_lone_spike_kept() -> None:
    numbers = np.zeros(1_000_000)
    numbers[654_321] = 7.0
    curve = curve_of(numbers)

    x, y = curve.drawn(0, 1_000_000, 800)

    assert len(x) <= 2 * 800 + 2 * BLOCK
    assert y.max() == 7.0
    assert abs(x[y.argmax()] - 654_321) <= 1_000_000 / 800 + BLOCK


@pytest.mark.parametrize("weight", [0.3, 0.9, 0.99])
def test_smoothing_is_the_time_weighted_mean(weight) -> None:
    random = np.random.default_rng(3)
    steps = np.cumsum(random.integers(1, 4, 300))
    numbers = random.normal(size=300)
    numbers[[0, 1, 50, 51, 299]] = np.nan

    smoothed = curve_of(numbers, steps).smoothed(weight)

    assert smoothed == pytest.approx(running_mean(steps, numbers, weight), nan_ok=True)


def test_smoothing_does_not_change_on_zoom_or_by_growing_one_by_one() -> None:
    numbers = np.random.default_rng(4).normal(size=500)
    whole, grown = curve_of(numbers), Curve()
    for step, value in enumerate(numbers):
        grown.append(step, value)
        if step % 7 == 0:
            grown.smoothed(0.9)

    assert grown.smoothed(0.9) == pytest.approx(whole.smoothed(0.9))
    x, y = whole.drawn(100, 200, 1000, 0.9)
    assert y == pytest.approx(whole.smoothed(0.9)[x.astype(int)])


def test_a_decaying_sum_goes_on_from_where_it_was() -> None:
    random = np.random.default_rng(5)
    decay, numbers = random.uniform(0, 1, 5000), random.normal(size=5000)

    whole = decaying_sum(decay, numbers)
    later = decaying_sum(decay[2000:], numbers[2000:], whole[1999])

    assert later == pytest.approx(whole[2000:])


def test_what_a_later_attempt_supersedes_is_gone_from_every_view() -> None:
    numbers = np.arange(3000.0)
    curve = curve_of(numbers)
    curve.smoothed(0.5)

    curve.supersede(after=1500)
    for step in range(1501, 2000):
        curve.append(step, -1.0)

    expected = np.concatenate([np.arange(1501.0), -np.ones(499)])
    assert curve.values == pytest.approx(expected)
    assert curve.drawn(0, 2000, 20)[1].max() == 1500
    assert curve.smoothed(0.5) == pytest.approx(curve_of(expected).smoothed(0.5))
    assert curve.newest == -1.0


def test_a_step_that_comes_twice_takes_the_later_value() -> None:
    curve = curve_of(np.zeros(100))
    curve.smoothed(0.9)

    curve.append(40, 5.0)
    curve.append(99, 6.0)

    assert len(curve) == 100
    assert (curve.values[40], curve.newest) == (5.0, 6.0)
    assert curve.smoothed(0.9) == pytest.approx(curve_of(curve.values).smoothed(0.9))


def test_infinity_and_nan_are_kept_as_the_newest_value_and_drawn_as_gaps() -> None:
    curve = Curve()
    for step, value in enumerate([1.0, float("inf"), float("nan")]):
        curve.append(step, value)

    assert np.isnan(curve.values).tolist() == [False, True, True]
    assert np.isnan(curve.newest)
    assert curve.first() == 1.0


def test_the_nearest_point_is_found() -> None:
    curve = curve_of([1.0, 2.0, 3.0], [0, 10, 20])

    assert curve.at(4) == (0.0, 1.0)
    assert curve.at(6) == (10.0, 2.0)
    assert curve.at(99) == (20.0, 3.0)
    assert Curve().at(1) is None
