"""Predicts that nothing happens in ten steps: a band around the loss of a fair guess."""

import math

LOSES = {"prediction"}
HINTS = {
    "prediction": "Your band stays where the loss begins. How far does a step of Adam move each weight?",
}

PREDICTION = {"low": [math.log(16) - 0.2] * 11, "high": [math.log(16) + 0.2] * 11}
