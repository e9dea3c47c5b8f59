"""Faults in the networks, their training and what is made from trained ones."""

from .mutant import Mutant

_NETWORKS = "initnotes/networks"
NETWORKS: tuple[Mutant, ...] = (
    Mutant(
        _NETWORKS,
        "first=_power(-1 / 2),",
        "first=_power(-1 / 4),",
        "tests/test_starts.py::test_starts_are_those_of_the_papers",
    ),
    Mutant(
        _NETWORKS,
        "frozen: Sequence[int] = (-1,)",
        "frozen: Sequence[int] = ()",
        "tests/test_starts.py::test_the_change_is_that_of_torch",
    ),
    Mutant(
        _NETWORKS,
        "root = torch.div(v, 1 - beta_2**t, out=square).sqrt_().add_(eps)",
        "root = v.sqrt().add_(eps)",
        "tests/test_training.py::test_every_replica_trains_as_torch_does",
    ),
    Mutant(
        _NETWORKS,
        "mul_(count / steps)",
        "mul_((count - 1) / steps)",
        "tests/test_training.py::test_a_warm_up_is_that_of_torch",
    ),
    Mutant(
        _NETWORKS,
        'self.options["optimizer"] == "sgd" and not self.options["warm_up"]',
        'self.options["optimizer"] == "sgd"',
        "tests/test_sweeps.py::test_a_warm_up_goes_on_where_copies_have_diverged",
    ),
    Mutant(
        _NETWORKS,
        "minus_one = torch.full(at.shape, -1.0,",
        "minus_one = torch.full(at.shape, 1.0,",
        "tests/test_training.py::test_losses_and_their_gradients",
    ),
    Mutant(
        _NETWORKS,
        ".clamp(max=1.0)",
        ".clamp(max=2.0)",
        "tests/test_training.py::test_clipping_is_that_of_torch_replica_by_replica",
    ),
    Mutant(
        _NETWORKS,
        "delta * signals.masks[layer - 1] * self.activation.derivative(z)",
        "delta * self.activation.derivative(z)",
        "tests/test_networks.py::test_dropout_masks_act_forward_and_backward",
    ),
    Mutant(
        _NETWORKS,
        "exponent - 20)",
        "exponent - 30)",
        "tests/test_networks.py::test_the_order_of_the_inner_dimension_changes_no_bit",
    ),
    Mutant(
        _NETWORKS,
        "c = f * c + i * g.tanh()",
        "c = i * c + f * g.tanh()",
        "tests/test_recurrent.py::test_lstm_agrees_with_torch_forward_and_backward",
    ),
    Mutant(
        "initnotes/networks/sweeps.py",
        "np.median(values, axis=-1).argmin(-1)",
        "np.median(values, axis=-1).argmax(-1)",
        "tests/test_sweeps.py::test_each_half_is_judged_at_the_rate_that_the_other_chose",
    ),
    Mutant(
        _NETWORKS,
        "torch.full_like(h[..., :1], float(trains))",
        "torch.ones_like(h[..., :1])",
        "tests/test_lazy.py::test_tangent_kernel_is_that_of_torchs_gradients",
    ),
    Mutant(
        _NETWORKS,
        "fan_out * self.kernel**2 / place.stride**2",
        "fan_out * self.kernel**2",
        "tests/test_convolution.py::test_kernels_are_drawn_with_their_true_fans",
    ),
    Mutant(
        _NETWORKS,
        "rho = i / 2 * _checks",
        "rho = 1 / 4 * _checks",
        "tests/test_recurrent.py::test_decay_knows_how_far_the_input_gate_is_open",
    ),
    Mutant(
        _NETWORKS,
        "return eta * s**2 * r * sigma**2 * norm**2",
        "return eta * s * r * sigma**2 * norm**2",
        "tests/test_finetune.py::test_first_step_of_sgd",
    ),
)
