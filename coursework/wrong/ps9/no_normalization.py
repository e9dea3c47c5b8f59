"""Lets a normalized branch grow with the stream, as if nothing stood in front of it."""

LOSES = {"stream", "choose_alpha"}
HINTS = {
    "stream": "Your normalized branch grows with the stream. What is the mean square of N(x)?",
    "choose_alpha": "Your normalized branch grows with the stream. What is the mean square of N(x)?",
}
RIGHT = stream, choose_alpha  # noqa: F821


def stream(form, alpha, first, last, blocks):
    return RIGHT[0]("inner" if form == "norm" else form, alpha, first, last, blocks)


def choose_alpha(form, first, last, blocks, growth):
    return RIGHT[1]("inner" if form == "norm" else form, first, last, blocks, growth)
