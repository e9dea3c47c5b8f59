"""Diagnoses by the growth of the signal alone, which three of the faults do not change."""

LOSES = {"diagnose"}
HINTS = {
    "diagnose": (
        "You judge by the growth of the signal alone. Three of the faults do not change it from layer to layer: "
        "what else do you have?"
    ),
}


def diagnose(weights, biases, activation, inputs):
    squares = forward(weights, biases, activation, inputs)  # noqa: F821
    growth = (squares[-1] / squares[0]) ** (1 / (len(squares) - 1))
    if growth < 0.5:
        return "vanishing"
    return "exploding" if activation == "relu" else "saturated"
