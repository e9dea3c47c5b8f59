"""Tables: what stands in a cell, text and HTML that align numbers to the right, and errors."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

import initnotes as ini
from initnotes._table import Table, shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.123456, "0.123"),
        (np.float64(0.123456), "0.123"),
        (np.float32(0.5), "0.5"),
        (np.array(0.25), "0.25"),
        (torch.tensor(0.25), "0.25"),
        (3, "3"),
        (np.int64(1234), "1234"),
        (1797.0, "1797"),
        (123456, "123456"),
        (1234.5, "1230"),
        (999.6, "1000"),
        (1e6, "1e+06"),
        (1.5e7, "1.5e+07"),
        (0.00001234, "1.23e-05"),
        (-0.0, "0"),
        (-0.5, "-0.5"),
        (None, "–"),
        (float("nan"), "–"),
        (np.nan, "–"),
        (float("inf"), "inf"),
        (True, "yes"),
        (np.bool_(False), "no"),
        (torch.tensor(True), "yes"),
        ("he_normal", "he_normal"),
        ((1, 2), "(1, 2)"),
    ],
)
def test_a_cell_says_its_value(value: object, text: str) -> None:
    assert shown(value) == text


def test_digits_are_significant() -> None:
    assert [shown(np.pi, digits=digits) for digits in (1, 2, 5)] == ["3", "3.1", "3.1416"]
    assert str(ini.table({"a": ["x"], "b": [np.pi]}, digits=5)).endswith("3.1416")


@pytest.fixture
def made() -> Table:
    """Return a table with text, numbers and a truth in it."""
    columns = {
        "scheme": ["he_normal", "b<c"],
        "factor": torch.tensor([0.5, 1234.0], dtype=torch.float64),
        "law": ["normal", "uniform"],
        "holds": np.array([True, False]),
    }
    return ini.table(columns, caption="Factors & laws")


def test_text_is_aligned(made: Table) -> None:
    assert str(made).splitlines() == [
        "Factors & laws",
        "scheme     factor  law      holds",
        "he_normal     0.5  normal   yes",
        "b<c          1234  uniform  no",
    ]
    assert made["b<c", "factor"] == "1234"
    assert repr(made) == str(made)


class Cells(HTMLParser):
    """Collects the side that each cell of a table is aligned to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sides: list[list[bool]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.sides.append([])
        if tag in ("td", "th"):
            self.sides[-1].append("text-align: right" in (dict(attrs).get("style") or ""))


def test_html_aligns_as_the_text_does(made: Table) -> None:
    text = made._repr_html_()
    assert Cells(text).sides == [[False, True, False, False]] * 3
    assert "<caption>Factors &amp; laws</caption>" in text
    assert "b&lt;c" in text
    assert "he_<wbr>normal" in text
    assert text.count("scope='row'") == 2
    assert text.count("scope='col'") == 4
    plain = Table("", ("a", "b"), (("x", "1"),))
    assert Cells(plain._repr_html_()).sides == [[False, False]] * 2
    assert "<caption>" not in plain._repr_html_()


def test_a_column_of_truths_and_gaps() -> None:
    found = ini.table({"layer": [1, 2], "q": [None, 0.5], "text": [None, "a"]})
    assert found.right == {1}
    assert found.rows == (("1", "–", "–"), ("2", "0.5", "a"))


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({}, ValueError, "at least one column, got {}"),
        (
            {"a": [1], "b": [1, 2]},
            ValueError,
            "at least one column, got {'a': 1, 'b': 2}",
        ),
        ({"a": "text"}, TypeError, "column 'a' must be a sequence of cells, got the text 'text'"),
        ({"a": np.zeros((2, 3))}, ValueError, "a cell must be a single value, got an array of shape (3,)"),
    ],
)
def test_bad_columns_are_explained(columns: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        ini.table(columns)


def test_unknown_cells_are_explained(made: Table) -> None:
    with pytest.raises(ValueError, match="unknown column 'factr'; did you mean 'factor'"):
        made["b<c", "factr"]
    with pytest.raises(ValueError, match="unknown row 'he_norml'; did you mean 'he_normal'"):
        made["he_norml", "factor"]
