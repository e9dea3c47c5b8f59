"""The digits of the figure that trains: scikit-learn's images as a script, one character a pixel.

``python -m tools.digits`` writes book/assets/train-digits.mjs. A test holds the file against what this writes, and what
the figure makes of it against `initnotes.data.digits`.
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from .files import ROOT

FILE = ROOT / "book" / "assets" / "train-digits.mjs"
_TEXT = """\
// Written by `python -m tools.digits`: the 1797 handwritten digits of scikit-learn, 8 × 8 pixels of 0 … 16. A character
// is a pixel, "A" is 0 and "Q" is 16; the first {train} images are for training, in the order of `ini.data.digits()`.
// Source: E. Alpaydin & C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998,
// https://doi.org/10.24432/C50P49. License: CC BY 4.0, https://creativecommons.org/licenses/by/4.0/. Changed: of the
// test part only, as scikit-learn ships it, and in another order.

const trainDigits = {{
  train: {train},
  pixels:
    "{pixels}",
  labels:
    "{labels}",
}};

globalThis.trainDigits = trainDigits; // where train-lab.mjs looks: a classic script keeps its names

export {{ trainDigits }};
"""


def text() -> str:
    """Return the script: the images in the order of `initnotes.data.digits`, those to train on first."""
    x, y = load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=360, stratify=y, random_state=0)
    pixels = np.concatenate([x_train, x_test]).astype(np.uint8).ravel()
    labels = np.concatenate([y_train, y_test]).astype(np.uint8)
    letters = (pixels + ord("A")).tobytes().decode("ascii")
    return _TEXT.format(train=len(y_train), pixels=letters, labels="".join(map(str, labels)))


def main() -> None:
    """Write the script."""
    FILE.write_text(text(), encoding="utf-8")
    print(f"{FILE.relative_to(ROOT)}: {FILE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
