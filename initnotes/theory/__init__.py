"""Mean-field theory of wide random networks: what variance, correlation and gradient do from layer to layer.

What lives here predicts; it draws no weights and runs no network.
"""

from .maps import (
    FixedPoint,
    chi,
    correlation_map,
    critical_sigma_w,
    depth_scale,
    derivative_second_moment,
    first_moment,
    fixed_point,
    fixed_points,
    gain,
    second_moment,
    variance_map,
)
from .profile import Profile, factors, profile
from .stream import gradient_factor, stream_factors, stream_moments

__all__ = [
    "FixedPoint",
    "Profile",
    "chi",
    "correlation_map",
    "critical_sigma_w",
    "depth_scale",
    "derivative_second_moment",
    "factors",
    "first_moment",
    "fixed_point",
    "fixed_points",
    "gain",
    "gradient_factor",
    "profile",
    "second_moment",
    "stream_factors",
    "stream_moments",
    "variance_map",
]
