"""Gives the branch the stream's own mean square in every form: one ReLU for two factors of 2 is overlooked."""

LOSES = {"stream", "choose_alpha"}
HINTS = {
    "stream": "In two of the forms there is one φ for two factors of 2. What mean square has the branch then?",
    "choose_alpha": "In two of the forms there is one φ for two factors of 2. What mean square has the branch then?",
}


def stream(form, alpha, first, last, blocks):
    squares, added = [1.0], (alpha * first * last) ** 2
    for _ in range(blocks):
        squares.append(squares[-1] + added * (1.0 if form == "norm" else squares[-1]))
    return squares


def choose_alpha(form, first, last, blocks, growth):
    added = (growth - 1) / blocks if form == "norm" else growth ** (1 / blocks) - 1
    return added**0.5 / (first * last)
