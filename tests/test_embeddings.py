"""The first loss with embeddings of N(0, 1): theory against draws, and drawn logits against their variance."""

import math

import numpy as np
import pytest
from scipy.special import logsumexp

from initnotes.book.embeddings import CASES, first_loss, log_partition, stream_loss


@pytest.mark.parametrize("variance", [0.25, 4.0, 64.0])
def test_log_partition_is_the_mean_over_draws(variance: float) -> None:
    """Within five standard errors of 4000 draws: false-failure rate below 1e-5 over the three."""
    z = math.sqrt(variance) * np.random.default_rng([1, int(variance)]).standard_normal((4000, 500))
    drawn = logsumexp(z, axis=1)
    error = 5 * drawn.std() / 4000**0.5
    assert abs(log_partition(variance) - drawn.mean()) < error
    annealed = math.log(500) + variance / 2  # ln E of the sum: an upper bound, right for small variances only
    assert variance < 1 or abs(annealed - drawn.mean()) > error


def test_log_partition_of_few_tokens() -> None:
    """Of one token it is the mean of its logit, 0."""
    assert log_partition(1.0, vocabulary=1) == pytest.approx(0, abs=1e-6)


def test_first_losses_follow_theory() -> None:
    """Means of 32 arrays, by theory within 8 %: false-failure rate below 1e-9, by their measured spread of 2 %."""
    expected = {
        "own output weights": (3**-0.5, log_partition(1 / 3)),
        "tied": (8, log_partition(64.0)),
        "tied, skips": (None, 64),
        "tied, std 1/√d": (1, log_partition(1.0)),
    }
    assert expected.keys() == CASES.keys()
    seen = {}
    for stream, (name, case) in enumerate(CASES.items()):
        spread, loss = first_loss(64, rng=np.random.default_rng([2, stream]), **case)
        assert spread.shape == loss.shape == (32,)
        seen[name] = loss.mean()
        std, theory = expected[name]
        assert std is None or spread.mean() == pytest.approx(std, rel=0.03), name
        assert loss.mean() == pytest.approx(theory, rel=0.08), name
    assert seen["tied"] < 0.5 * seen["tied, skips"]


@pytest.mark.parametrize("own", [0.0, 20.0, 60.0])
def test_a_logit_that_is_given_counts_once(own: float) -> None:
    """Within five standard errors of 4000 draws: false-failure rate below 1e-5 over the three."""
    z = 8 * np.random.default_rng([1, 65]).standard_normal((4000, 500))
    drawn = np.logaddexp(logsumexp(z, axis=1), own)
    assert abs(log_partition(64.0, own=own) - drawn.mean()) < 5 * drawn.std() / 4000**0.5 + 1e-3
    assert own < 60 or log_partition(64.0, own=own) > log_partition(64.0) + 30


def test_blocks_turn_the_stream_away_and_the_first_loss_with_it() -> None:
    """Means of 16 models within 8 % of theory, four standard errors or more: false-failure rate below 1e-4."""
    seen = {}
    for layers, scheme in ((0, None), (4, None), (12, None), (4, "xavier_uniform")):
        cosine, loss = stream_loss(64, layers, rng=np.random.default_rng([3, layers]), scheme=scheme)
        assert cosine.shape == loss.shape == (16,)
        assert loss.mean() == pytest.approx(log_partition(64.0, own=64 * cosine.mean()), rel=0.08)
        seen[layers, scheme] = loss.mean()
    assert seen[0, None] == pytest.approx(64, rel=0.05)
    assert seen[12, None] < 0.8 * 64  # d itself is wrong there
    assert seen[4, "xavier_uniform"] < 0.75 * seen[4, None]


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        (lambda: log_partition(0.0), ValueError, "variance must be greater than 0"),
        (lambda: first_loss(0, rng=np.random.default_rng(0)), ValueError, "width"),
        (lambda: first_loss(4, rng=1), TypeError, "Generator"),  # type: ignore[arg-type]
        (lambda: first_loss(4, rng=np.random.default_rng(0), vocabulary=1), ValueError, "vocabulary"),
        (lambda: stream_loss(64, -1, rng=np.random.default_rng(0)), ValueError, "layers"),
        (lambda: stream_loss(2, 1, rng=np.random.default_rng(0)), ValueError, "width"),
    ],
)
def test_errors(wrong: object, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        wrong()  # type: ignore[operator]
