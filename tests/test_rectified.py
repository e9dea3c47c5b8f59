"""ReLU layers one by one: what passes down, the arc-cosine map, dead layers, Jacobians."""

import numpy as np
import pytest

import initnotes as ini
from initnotes.book import rectified
from initnotes.networks import Ensemble

SEED = 1


def rng(*key: int) -> np.random.Generator:
    return np.random.default_rng([SEED, *key])


def test_pass_down_is_a_plain_network() -> None:
    scheme, h = ini.he_normal, np.ones((3, 2, 6))
    z = rectified.pass_down(h, scheme, 4, rng=rng(0), width=5)
    assert z.shape == (4, 3, 2, 5)
    first = h @ scheme.sample((5, 6), rng(0), replicas=3).swapaxes(1, 2)
    np.testing.assert_array_equal(z[0], first)


def test_ratio_of_mean_squares_is_one_under_he() -> None:
    """Mean over 200 networks and 10 layers of 40 units: standard error 0.008, so 5 % fail once in 1e9."""
    found = {}
    for scheme in (ini.he_normal, ini.lecun_normal):
        z = rectified.pass_down(np.ones((200, 1, 40)), scheme, 10, rng=rng(1))
        found[scheme.name] = rectified.ratios(rectified.mean_squares(z)).mean()
    assert found[ini.he_normal.name] == pytest.approx(1, rel=0.05)
    assert found[ini.lecun_normal.name] == pytest.approx(0.5, rel=0.05)


def test_next_cosine_is_that_of_a_wide_layer() -> None:
    """20,000 pairs of normal numbers; five standard errors, 0.03."""
    for c in (-0.5, 0.0, 0.7):
        a, b = rng(2).standard_normal((2, 20_000))
        one, other = np.maximum(a, 0), np.maximum(c * a + np.sqrt(1 - c**2) * b, 0)
        assert 2 * (one * other).mean() == pytest.approx(rectified.next_cosine(c), abs=0.06)
    assert rectified.next_cosine(1 + 1e-12) == 1


def test_rectified_square_of_a_shifted_number() -> None:
    """200,000 numbers; five standard errors are below 2 %."""
    z = 0.5 + 1.5 * rng(3).standard_normal(200_000)
    assert np.square(np.maximum(z, 0)).mean() == pytest.approx(rectified.rectified_square(0.5, 1.5), rel=0.03)


def test_dead_share_falls_with_inputs_and_refuses_equal_ones() -> None:
    shares = [rectified.dead_share(0.9, count) for count in (1, 10, 100)]
    assert shares[0] == pytest.approx(0.5)
    assert shares == sorted(shares, reverse=True)
    with pytest.raises(ValueError, match="less than 1"):
        rectified.dead_share(1.0, 3)


def test_dead_layers_are_found_where_they_are() -> None:
    net = Ensemble((4, 5, 5, 2), "relu", "he_normal", rng=rng(4), replicas=3)
    net.weights[1][1] = -1.0  # the activations before it are not negative
    x = rng(5).standard_normal((7, 4))
    assert rectified.has_dead_layer(net, x).tolist() == [False, True, False]


def test_jacobians_of_orthogonal_relu_layers_spread_as_theory_says() -> None:
    """The mean over 32 networks of 64 units lies within 25 % of a wide network's 5; without the ReLU it is 0."""
    s = rectified.singular_values("relu", ini.orthogonal(2**0.5), 1.0, rng=rng(6), depth=5)
    expected = rectified.jacobian_spread("relu", 2**0.5, 1.0, gaussian=False, depth=5)
    assert expected == pytest.approx(5)
    assert rectified.relative_variance(s).mean() == pytest.approx(expected, rel=0.25)
    assert rectified.jacobian_spread("linear", 1.0, 1.0, gaussian=True, depth=5) == pytest.approx(5)
