"""Faults that a test must see: a dozen and more in formulas, signs and thresholds, each with one quick test.

What lives here is a list; `mutants` plants what it names. A text that no longer stands where a row says, or a test that
is gone, fails ``make mutants`` and the tests of it.
"""

from typing import NamedTuple


class Mutant(NamedTuple):
    """A fault: `new` for `old` in the one place of the Python files of `where`, a folder or a file, where `old` stands.

    If `old` is a name, it is that of a module's constant, and `new` is its value.
    """

    where: str
    old: str
    new: str
    test: str  # pytest's node, which must fail by an assertion

    def __str__(self) -> str:
        return f"{self.old!r} -> {self.new!r} in {self.where}, which {self.test} should see"


_THEORY, _NETWORKS, _EXAMINE = "initnotes/theory", "initnotes/networks", "initnotes/examine"
MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "initnotes/schemes.py",
        'he_normal = Scheme(scale=2, mode="fan_in", distribution="normal")',
        'he_normal = Scheme(scale=2, mode="fan_out", distribution="normal")',
        "tests/test_schemes.py::test_named_schemes_have_the_papers_variance_and_law",
    ),
    Mutant(
        "initnotes/schemes.py",
        '"fan_avg": (fan_in + fan_out) / 2',
        '"fan_avg": fan_in + fan_out',
        "tests/test_schemes.py::test_variance_times_fan_is_the_scale",
    ),
    Mutant(
        "initnotes/draws.py",
        "draws /= CUT_STD",
        "draws *= CUT_STD",
        "tests/test_schemes.py::test_every_mode_and_distribution",
    ),
    Mutant(
        "initnotes/matrices.py",
        "np.copysign(self.gain, np.diagonal(r, axis1=-2, axis2=-1))",
        "np.abs(np.copysign(self.gain, np.diagonal(r, axis1=-2, axis2=-1)))",
        "tests/test_schemes.py::test_orthogonal_is_haar_distributed",
    ),
    Mutant(
        "initnotes/elementwise.py",
        "return decay / (1 + decay) ** 2",
        "return decay / (1 + decay)",
        "tests/test_activations.py::TestNamed::test_derivative_equals_autograd_also_at_the_kink",
    ),
    Mutant(
        _THEORY,
        "return sigma_w**2 * means.square(q, strict=strict) + sigma_b**2",
        "return sigma_w**2 * means.square(q, strict=strict) + sigma_b",
        "tests/test_theory.py::test_piecewise_linear_moments",
    ),
    Mutant(
        _THEORY,
        "return sigma_w**2 * float(means.slope_square(q, strict=True))",
        "return sigma_w * float(means.slope_square(q, strict=True))",
        "tests/test_theory.py::test_facts_on_tanh",
    ),
    Mutant(
        _THEORY,
        "return _kept(act) if act.closed else Means(act)",
        "return _kept(act)",
        "tests/test_theory_callables.py::test_a_global_that_changes_gives_the_new_answer",
    ),
    Mutant(
        _THEORY,
        "return np.where(np.abs(shift) <= step / 256, middle + shift, middle)",
        "return middle",
        "tests/test_theory_callables.py::test_kinks_and_jumps_are_located",
    ),
    Mutant(
        _THEORY,
        "return -1 / math.log(rate) if rate > 0 else 0.0",
        "return 1 / math.log(rate) if rate > 0 else 0.0",
        "tests/test_theory.py::test_ordered_depth_scales_of_tanh",
    ),
    Mutant(
        _THEORY,
        "return mean**-0.5",
        "return 1 / mean",
        "tests/test_theory.py::test_facts_on_tanh",
    ),
    Mutant(
        _THEORY,
        "zip(down[:0:-1], slopes[::-1], strict=True)",
        "zip(up[:0:-1], slopes[::-1], strict=True)",
        "tests/test_theory_sizes.py::test_it_is_the_maps_layer_by_layer",
    ),
    Mutant(
        _THEORY,
        "signal[layer] = scale * h + bias",
        "signal[layer] = scale * h",
        "tests/test_theory_sizes.py::test_it_is_the_maps_layer_by_layer",
    ),
    Mutant(
        _THEORY,
        "variances = start + square * _size(act, norm) * np.arange(blocks)",
        "variances = start + square * _size(act, norm) * np.arange(1, blocks + 1)",
        "tests/test_residual.py::test_residual_gradients_grow_as_predicted",
    ),
    Mutant(
        _THEORY,
        '{"sgd": 2, "adam": 1}',
        '{"sgd": 1, "adam": 1}',
        "tests/test_starts.py::test_the_first_step_depends_on_the_depth_as_predicted",
    ),
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
        "initnotes/layers",
        "steps = math.prod(layer.stride)",
        "steps = 1",
        "tests/test_fans.py::test_with_a_stride_the_fan_is_the_average_of_what_positions_count",
    ),
    Mutant(
        "initnotes/frameworks",
        "(self.high - self.low) / math.sqrt(12)",
        "(self.high - self.low) / 12",
        "tests/test_translation.py::test_moments_and_cdf_fit",
    ),
    Mutant(
        "initnotes/frameworks",
        "first = -(-(size - 1) // stride) * stride",
        "first = 0",
        "tests/test_frameworks.py::test_a_strided_transposed_convolution_gets_what_its_fan_says",
    ),
    Mutant(
        "initnotes/frameworks",
        'layer == "Embed" and target == "torch"',
        'layer == "Embed" and target == "keras"',
        "tests/test_translation.py::test_what_is_pasted",
    ),
    Mutant(
        "initnotes/frameworks",
        "bool((marked & high[name]).any())",
        "bool(marked.any())",
        "tests/test_frameworks.py::test_what_stays_without_a_value",
    ),
    Mutant(
        "initnotes/book/intervals.py",
        "CONFIDENCE",
        "0.98",
        "tests/test_claims.py::test_intervals_cover_as_often_as_they_say[mean of normal draws]",
    ),
    Mutant(_EXAMINE, "LOSS_WARNING", "6.0", "tests/test_thresholds.py::test_the_initial_loss"),
    Mutant(_EXAMINE, "LOSS_ERROR", "60.0", "tests/test_thresholds.py::test_the_initial_loss"),
    Mutant(
        _EXAMINE,
        "LOGITS",
        "0.03",
        "tests/test_thresholds.py::test_the_fix_of_the_initial_loss_leaves_logits_of_about_a_third",
    ),
    Mutant(_EXAMINE, "SATURATED_WARNING", "0.6", "tests/test_thresholds.py::test_saturated_units"),
    Mutant(_EXAMINE, "SATURATED_ERROR", "0.99", "tests/test_thresholds.py::test_saturated_units"),
    Mutant(
        _EXAMINE,
        '{"sigmoid": 4.6, "tanh": 3.0}',
        '{"sigmoid": 9.2, "tanh": 3.0}',
        "tests/test_thresholds.py::test_saturated_gates",
    ),
    Mutant(
        _EXAMINE,
        '{"sigmoid": 4.6, "tanh": 3.0}',
        '{"sigmoid": 4.6, "tanh": 6.0}',
        "tests/test_thresholds.py::test_saturated_gates",
    ),
    Mutant(_EXAMINE, "SCALE_LOW_ERROR", "1e-9", "tests/test_thresholds.py::test_the_scale_of_weights"),
    Mutant(_EXAMINE, "SCALE_HIGH_ERROR", "1e9", "tests/test_thresholds.py::test_the_scale_of_weights"),
    Mutant(
        "initgrade/sampling.py",
        "freedom, half = 2 * size / (kurtosis - 1), np.asarray(total) / (kurtosis - 1)",
        "freedom, half = size, np.asarray(total) / 2",
        "tests/test_judging.py::test_variance_fails_uniform_draws_at_most_twice_as_often",
    ),
    Mutant(
        "initgrade/sampling.py",
        "return np.minimum(1.0, 2 * np.exp(-2 * size * np.square(apart)))",
        "return np.minimum(1.0, np.exp(-2 * size * np.square(apart)))",
        "tests/test_judging.py::test_law_fails_draws_of_that_law_as_often_as_it_says",
    ),
    Mutant(
        "initgrade/sampling.py",
        "ALPHA",
        "1e-300",
        "tests/test_judging.py::test_law_catches_wrong_laws",
    ),
    Mutant(
        "initgrade/judging.py",
        "atol + rtol * np.abs(target)",
        "atol + rtol",
        "tests/test_judging.py::test_close_names_the_first_number_that_is_off",
    ),
    Mutant(
        "initgrade/judging.py",
        "(len(right) / len(marks) - guess) / (1 - guess)",
        "len(right) / len(marks)",
        "tests/test_judging.py::test_shares_are_counted_without_what_a_guess_gets",
    ),
    Mutant(
        "initgrade/lateness.py",
        "math.ceil((at - due - extension_days * _DAY) / _DAY)",
        "math.floor((at - due - extension_days * _DAY) / _DAY)",
        "tests/test_lateness.py::test_days_that_were_begun_count",
    ),
    Mutant(
        "initgrade/lateness.py",
        "if days > late.most_days:",
        "if days >= late.most_days:",
        "tests/test_lateness.py::test_what_days_cost_and_in_words",
    ),
    Mutant(
        "initnotes/networks/sweeps.py",
        "np.median(values, axis=-1).argmin(-1)",
        "np.median(values, axis=-1).argmax(-1)",
        "tests/test_sweeps.py::test_each_half_is_judged_at_the_rate_that_the_other_chose",
    ),
    Mutant(
        "initnotes/book/small_starts.py",
        "(scale ** (2 - depth) - 1) / ((depth - 2) * reach)",
        "(scale ** (1 - depth) - 1) / ((depth - 1) * reach)",
        "tests/test_small_starts.py::test_steps_to_grow_solves_its_equation",
    ),
    Mutant(
        "initnotes/book/biases.py",
        "float(logarithm - (frequencies * np.log(prior)).sum())",
        "float(logarithm + (frequencies * np.log(prior)).sum())",
        "tests/test_biases.py::test_initial_loss_begins_as_its_series",
    ),
    Mutant(
        "initnotes/callbacks/first_steps.py",
        "found[name] = change / size if size",
        "found[name] = change / size**2 if size",
        "tests/test_first_steps.py::test_ratios_are_those_of_one_step_of_sgd_by_hand",
    ),
    Mutant(
        "initnotes/callbacks/first_steps.py",
        "max(value, found.get(record.place, 0.0))",
        "min(value, found.get(record.place, 0.0))",
        "tests/test_first_steps.py::test_dead_and_saturated_units_are_counted_then_and_now",
    ),
    Mutant(
        _EXAMINE,
        "self.feeding.intersection(inputs) or set(inputs)",
        "set(inputs)",
        "tests/test_first_steps.py::test_a_target_is_no_input_and_no_way_around_the_layers",
    ),
    Mutant(
        _THEORY,
        "size = np.exp(abs(z) + 2 * np.log(alpha))",
        "size = np.exp(abs(z) + np.log(alpha))",
        "tests/test_lazy.py::test_descent_on_the_diagonal_network_ends_there_but_for_its_step",
    ),
    Mutant(
        _THEORY,
        "(mu / g_0 - 1) * np.exp(-2 * mu * t)",
        "(mu / g_0 - 1) * np.exp(-mu * t)",
        "tests/test_lazy.py::test_mode_strength_solves_its_equation",
    ),
    Mutant(
        _THEORY,
        "parts**2 / (2 * len(targets))",
        "parts**2 / len(targets)",
        "tests/test_lazy.py::test_kernel_prediction_is_descent_on_the_linear_model",
    ),
    Mutant(
        _NETWORKS,
        "torch.full_like(h[..., :1], float(trains))",
        "torch.ones_like(h[..., :1])",
        "tests/test_lazy.py::test_tangent_kernel_is_that_of_torchs_gradients",
    ),
    Mutant(
        "initnotes/book/lazy.py",
        "(first + second).square().sum(1) / 4",
        "(first + second).square().sum(1)",
        "tests/test_lazy.py::test_a_linear_network_learns_the_tree_mode_by_mode_at_the_times_of_theory",
    ),
    Mutant(
        _THEORY,
        "return inverse / t if orthogonal else inverse, t",
        "return inverse, t",
        "tests/test_spectra.py::test_the_laws_of_chapter_6_are_one",
    ),
    Mutant(
        _THEORY,
        "- (3 if orthogonal else 1)",
        "- 1",
        "tests/test_spectra.py::test_lengths_wander_as_the_log_variance_says",
    ),
    Mutant(
        _THEORY,
        "polygamma(1, on / 2)",
        "polygamma(1, on)",
        "tests/test_spectra.py::test_log_moments_are_exact",
    ),
    Mutant(
        _THEORY,
        "(taps - shift) % step",
        "(taps + shift) % step",
        "tests/test_convolution.py::test_phases_have_the_taps_that_reach_them",
    ),
    Mutant(
        _THEORY,
        "seen = n - 1 - np.abs(n - 1 - np.abs(seen))",
        "seen = seen.clip(0, n - 1)",
        "tests/test_convolution.py::test_taps_are_those_that_torch_counts",
    ),
    Mutant(
        "initnotes/matrices.py",
        "taps.shape[-1] // 2] =",
        "0] =",
        "tests/test_convolution.py::test_a_delta_orthogonal_layer_is_an_isometry",
    ),
    Mutant(
        _NETWORKS,
        "fan_out * self.kernel**2 / place.stride**2",
        "fan_out * self.kernel**2",
        "tests/test_convolution.py::test_kernels_are_drawn_with_their_true_fans",
    ),
    Mutant(
        "initnotes/book/recurrent.py",
        "np.cumprod((2 * m - 1) / (2 * m))",
        "np.cumprod((2 * m + 1) / (2 * m + 2))",
        "tests/test_recurrent_book.py::test_walks_survive_as_the_arcsine_law_says_whatever_their_steps",
    ),
    Mutant(
        "initnotes/book/recurrent.py",
        "rng).uniform(low**2, high**2, (replicas, n // 2))",
        "rng).uniform(low, high, (replicas, n // 2)) ** 2",
        "tests/test_recurrent_book.py::test_rings_are_even_in_area_and_normal",
    ),
    Mutant(
        "initnotes/book/recurrent.py",
        "dh, dc = dz[t] @ U.mT, dc * f",
        "dh, dc = dz[t] @ U.mT, dc",
        "tests/test_recurrent_book.py::test_the_gradients_are_those_of_autograd",
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
    Mutant(
        "initnotes/layers",
        "return values.mean(1), values.std(1, correction=0)",
        "return values.mean(1), values.std(1)",
        "tests/test_data_dependent.py::test_one_pass_is_the_papers_loop",
    ),
    Mutant(
        _THEORY,
        "of_positive = rest**power * (power * p * math.log(p) - rest)",
        "of_positive = rest**power * -rest",
        "tests/test_theory.py::test_prior_bias_minimizes_the_loss",
    ),
)
