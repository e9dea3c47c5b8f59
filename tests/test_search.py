"""The search: each query of a reader finds its section, in Node with the page's own scripts, and in the browser."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from docutils.core import publish_doctree
from playwright.sync_api import Page
from test_site import book, watched  # noqa: F401 # a fixture

from tools import formulas, plain_math, search, site

Serve = Callable[[Path], AbstractContextManager[str]]

# What readers type, and the places that they want: most want one. The queries were written, and the places chosen by reading the
# book, before anything was ranked. Boosts were tuned on the first twenty; the others were held out.
TUNED = [
    ("glorot", "05_xavier#xavier-initialization"),
    ("why not zero", "02_zero#zero-initialization"),
    ("pytorch default linear init", "06_he#what-nn-linear-does"),
    ("initialisation", "08_biases#which-initialization-do-i-use | index#before-the-first-step"),
    ("claim 17", "05_xavier#claim-17"),
    ("dying relu", "06_he#dead-units-and-dead-networks"),
    ("BN", "10_normalization#normalization | glossary#term-batch-normalization"),
    ("symmetry breaking", "01_symmetry#symmetry"),
    ("xavier uniform sqrt 6", "05_xavier#the-compromise-derived | 05_xavier#one-name-five-formulas"),
    ("why factor 2", "06_he#the-factor-2"),
    ("orthogonal", "06_he#orthogonal-weights"),
    ("edge of chaos", "04_vanishing_exploding#order-and-chaos"),
    ("residual network init", "10_normalization#what-a-skip-connection-does-to-the-scale"),
    ("class imbalance output bias", "08_biases#the-output-bias-start-from-what-you-know"),
    ("keras default initializer", "09_frameworks#layers-as-they-come"),
    ("gradient clipping", "04_vanishing_exploding#what-clipping-and-adam-repair"),
    ("which initialization should i use", "08_biases#which-initialization-do-i-use"),
    ("random seed", "09_frameworks#what-a-seed-fixes"),
    ("saturated unit", "glossary#term-saturated-unit"),
    ("exploding gradients batchnorm", "10_normalization#the-explosion-that-batchnorm-makes"),
]
HELD_OUT = [
    ("kaiming", "06_he#he-initialization"),
    ("dead relu", "06_he#dead-units-and-dead-networks"),
    ("0.01", "03_small_random#small-random-weights | 08_biases#what-0-01-does-to-a-relu"),
    ("lsuv", "introductions#modern-claims-still-open"),
    ("nn.Linear", "06_he#what-nn-linear-does"),
    ("batchnorm", "10_normalization#normalization | glossary#term-batch-normalization"),
    ("vanishing gradient", "04_vanishing_exploding#vanishing-and-exploding-gradients"),
    ("fan in", "glossary#term-fan-in"),
    ("gain for other activations", "06_he#any-activation-a-gain-and-whether-it-holds"),
    ("truncated normal", "07_lecun#truncated-normals"),
    ("selu", "07_lecun#selu-an-activation-made-for-the-variance"),
    ("lstm forget gate bias", "08_biases#the-forget-gate-one-bias-that-buys-time"),
    ("loss at initialization", "08_biases#the-loss-at-step-0"),
    ("tied embeddings", "09_frameworks#embeddings"),
    ("sigmoid xavier", "05_xavier#why-the-sigmoid-is-not-rescued"),
    ("gelu", "06_he#gelu-and-silu"),
    ("sqrt(5)", "06_he#what-nn-linear-does"),
    ("bias 0.01", "08_biases#what-0-01-does-to-a-relu"),
    ("kaimng", "06_he#he-initialization"),
    ("convert pytorch init to keras", "09_frameworks#translate"),
]
