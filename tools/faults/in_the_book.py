"""Faults in what only the book and the coursework need."""

from .mutant import Mutant

BOOK: tuple[Mutant, ...] = (
    Mutant(
        "initnotes/book/calibrated.py",
        "(1 - 1 / batch) * (0.5 - kappa) * (batch - 3) / (batch - 1)",
        "(1 - 1 / batch) * (0.5 - kappa)",
        "tests/test_calibrated.py::test_unseen_inputs_grow_as_predicted",
    ),
    Mutant(
        "initnotes/book/calibrated.py",
        "c = -1 / (batch - 1)",
        "c = 0.0",
        "tests/test_calibrated.py::test_unseen_inputs_grow_as_predicted",
    ),
    Mutant(
        "initnotes/book/intervals.py",
        "CONFIDENCE",
        "0.98",
        "tests/test_claims.py::test_intervals_cover_as_often_as_they_say[mean of normal draws]",
    ),
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
        "initnotes/book/finetuning.py",
        "(value - 0.01 * gradient).detach()",
        "(value - 0.0 * gradient).detach()",
        "tests/test_finetuning.py::test_first_moves_are_those_of_training",
    ),
    Mutant(
        "initnotes/book/finetuning.py",
        "np.asarray(names)[:, data.y]",
        "np.asarray(names)[:, data.y][:1]",
        "tests/test_finetuning.py::test_log_loss_and_right_by_hand",
    ),
    Mutant(
        "initnotes/book/lazy.py",
        "(first + second).square().sum(1) / 4",
        "(first + second).square().sum(1)",
        "tests/test_lazy.py::test_a_linear_network_learns_the_tree_mode_by_mode_at_the_times_of_theory",
    ),
    Mutant(
        "initnotes/book/isometry.py",
        "v = weight.swapaxes(1, 2) @ (slope * v)",
        "v = slope * (weight.swapaxes(1, 2) @ v)",
        "tests/test_isometry.py::test_the_way_back_is_the_transpose",
    ),
    Mutant(
        "initnotes/book/isometry.py",
        "z *= np.sqrt(held / np.square(z).mean(axis=1, keepdims=True))",
        "z *= 1",
        "tests/test_isometry.py::test_a_held_signal_wanders_as_the_formula_and_a_free_one_further",
    ),
    Mutant(
        "initnotes/book/isometry.py",
        "found = [(sigma_w**2 * c + sigma_b**2) / q]",
        "found = [c]",
        "tests/test_isometry.py::test_cosines_of_wide_layers_are_those_of_theory",
    ),
    Mutant(
        "initnotes/book/convolutions.py",
        "np.fft.fft2(kernels, (size, size))",
        "np.fft.fft2(kernels)",
        "tests/test_convolutions_measured.py::test_singular_values_are_those_of_the_whole_matrix",
    ),
    Mutant(
        "initnotes/book/convolutions.py",
        "kept = (cells.mean((-3, -1)) ** 2)",
        "kept = (cells.mean((-3, -2)) ** 2)",
        "tests/test_convolutions_measured.py::test_the_share_between_phases_is_counted_by_hand",
    ),
    Mutant(
        "initnotes/book/convolutions.py",
        "return total * old.numel() / new.numel(), total",
        "return total * new.numel() / old.numel(), total",
        "tests/test_convolutions_measured.py::test_stage_factors_are_the_fans_theirs",
    ),
    Mutant(
        "initnotes/book/convolutions.py",
        "(np.pi - angle) * (1 + 2 * c**2)) - 1",
        "(np.pi - angle) * (1 + c**2)) - 1",
        "tests/test_convolutions_measured.py::test_kappas_are_those_of_the_general_kernel_and_of_draws",
    ),
    Mutant(
        "initnotes/book/convolutions.py",
        '"lr": float(rate)}',
        '"lr": float(rates[0])}',
        "tests/test_convolutions_measured.py::test_decoders_learn_and_icnr_begins_flat",
    ),
    Mutant(
        "initnotes/book/own_starts.py",
        "of_bias, v = float(np.sinc(2 * bound / np.pi)), 1.0",
        "of_bias, v = float(np.exp(-2 * bound**2 / 3)), 1.0",
        "tests/test_own_starts.py::test_uniform_biases_settle_elsewhere_than_normal_ones",
    ),
    Mutant(
        "initnotes/book/own_starts.py",
        'square *= sigma_w**2 * theory.derivative_second_moment(q, "sine")',
        "square *= sigma_w**2 / 2",
        "tests/test_own_starts.py::test_the_slope_of_the_first_function",
    ),
    Mutant(
        "initnotes/book/own_starts.py",
        "torch.where(advantage > 0, ratio > 1 + clip, ratio < 1 - clip)",
        "(ratio > 1 + clip) | (ratio < 1 - clip)",
        "tests/test_own_starts.py::test_the_policy_gradient_is_that_of_the_clipped_loss",
    ),
)
