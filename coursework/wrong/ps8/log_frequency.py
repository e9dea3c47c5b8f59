"""Takes ln p for the log-odds: right in a softmax beside ln(1 - p), wrong in front of a sigmoid."""

import numpy as np

LOSES = {"log_odds"}
HINTS = {
    "log_odds": "That is ln p. Ask which z gives sigmoid(z) = p.",
}


def log_odds(labels):
    return float(np.log(np.mean(labels)))
