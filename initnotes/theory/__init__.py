"""Mean-field theory of wide random networks: what variance, correlation and gradient do from layer to layer.

What lives here predicts; it draws no weights and runs no network. Expectations under a Gaussian are in ``gaussian``,
the variance map with its fixed points, χ and critical σ_w in ``maps``, pairs of inputs in ``correlation``, sizes layer
by layer in ``profile``, normalization and residual streams in ``stream``, transformers in ``transformer``, the borders
and the sharing of convolutions in ``convolution``, singular values and finite widths in ``spectra``, how starts and
rates go with the width in ``width``; ``pieces`` finds the kinks and the slope of a function of which only values are
known. ``flows`` solves gradient flows, which need no wide network, and ``priors`` an output's bias.
"""

from . import width
from .convolution import (
    border_factor,
    border_profile,
    border_shares,
    image_map,
    phase_fans,
    sharing_kurtosis,
    tap_shares,
)
from .correlation import correlation_map, depth_scale
from .flows import diagonal_solution, kernel_prediction, mode_half_time, mode_strength
from .gaussian import derivative_second_moment, first_moment, second_moment
from .maps import FixedPoint, chi, critical_sigma_w, fixed_point, fixed_points, gain, variance_map
from .priors import prior_bias
from .sizes import Profile, factors, profile
from .spectra import (
    LogMoments,
    largest_singular_value,
    log_moments,
    log_variance,
    slope_kurtosis,
    stretch_cdf,
    surviving,
)
from .stream import gradient_factor, step_exponent, stream_factors, stream_moments
from .transformer import TransformerStream, attention_entropy, initial_loss, transformer_stream

__all__ = [
    "FixedPoint",
    "LogMoments",
    "Profile",
    "TransformerStream",
    "attention_entropy",
    "border_factor",
    "border_profile",
    "border_shares",
    "chi",
    "correlation_map",
    "critical_sigma_w",
    "depth_scale",
    "derivative_second_moment",
    "diagonal_solution",
    "factors",
    "first_moment",
    "fixed_point",
    "fixed_points",
    "gain",
    "gradient_factor",
    "image_map",
    "initial_loss",
    "kernel_prediction",
    "largest_singular_value",
    "log_moments",
    "log_variance",
    "mode_half_time",
    "mode_strength",
    "phase_fans",
    "prior_bias",
    "profile",
    "second_moment",
    "sharing_kurtosis",
    "slope_kurtosis",
    "step_exponent",
    "stream_factors",
    "stream_moments",
    "stretch_cdf",
    "surviving",
    "tap_shares",
    "transformer_stream",
    "variance_map",
    "width",
]
