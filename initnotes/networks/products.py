"""Batched matrix products: one whose order of additions cannot matter.

What lives here multiplies; networks take a product as an argument.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["Product", "check_factors", "order_free_product", "whole_multiples"]

Product = Callable[[Tensor, Tensor], Tensor]


def order_free_product(a: Tensor, b: Tensor) -> Tensor:
    """Multiply batches of matrices so that the order in which terms are added cannot matter.

    A matrix product from a numerical library may add the terms of different columns in different orders, so that equal
    columns of `b` need not give equal columns of ``a @ b``. Here each matrix is first rounded to whole multiples of
    2⁻²⁰ of (a power of two above) its largest entry: then all products and all their partial sums are exact in float64,
    and whatever order a library takes, equal columns stay equal to the last bit.

    Parameters
    ----------
    a : Tensor, shape (..., m, k)
    b : Tensor, shape (..., k, n)
        k at most 4096, so that sums of k products stay below 2⁵³.

    Returns
    -------
    Tensor, shape (..., m, n)
        Of the dtype of `a`; each rounded factor is off by at most 2⁻²⁰ of the largest entry of its matrix.

    Raises
    ------
    TypeError
        If `a` or `b` is not a floating-point tensor.
    ValueError
        If they are not batches of matrices that fit, or k is 0 or larger than 4096.

    References
    ----------
    Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., 2002, chapter 4: the error of a sum depends on
    its order. Rounding first, so that what is added is exact: Demmel & Nguyen, "Fast reproducible floating-point
    summation", ARITH 2013, and "Parallel reproducible summation", IEEE Transactions on Computers 64, 2015; for matrix
    products Ozaki, Ogita, Oishi & Rump, Numerical Algorithms 59, 2012.

    Examples
    --------
    >>> a, b = torch.eye(2), torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> order_free_product(a, b)
    tensor([[1., 2.],
            [3., 4.]])
    """
    check_factors(a, b)
    whole_a, unit_a = whole_multiples(a)
    whole_b, unit_b = whole_multiples(b)
    return (torch.matmul(whole_a, whole_b) * unit_a * unit_b).to(a.dtype)  # the units' product alone may overflow


def check_factors(a: Any, b: Any) -> None:
    """Raise unless ``a @ b`` is a product of batches of matrices whose sums stay exact."""
    for name, factor in (("a", a), ("b", b)):
        if not isinstance(factor, Tensor) or not factor.is_floating_point():
            given = factor.dtype if isinstance(factor, Tensor) else type(factor).__name__
            raise TypeError(f"{name} must be a floating-point tensor, got {given}; use torch.as_tensor(…, dtype=…)")
        if factor.dim() < 2 or not factor.shape[-1] * factor.shape[-2]:
            raise ValueError(f"{name} must be a batch of matrices, none of them empty, got shape {tuple(factor.shape)}")
    if a.shape[-1] != b.shape[-2]:
        raise ValueError(f"a and b do not fit, got shapes {tuple(a.shape)} and {tuple(b.shape)}")
    if a.shape[-1] > 4096:
        raise ValueError(f"the inner dimension must be at most 4096, got {a.shape[-1]}")


def whole_multiples(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Write each matrix of a batch as integers of at most 2²⁰ times a power of two, both float64."""
    exponent = torch.frexp(matrix.abs().amax((-2, -1), keepdim=True).double()).exponent.clamp(min=-1000)  # unit > 0
    unit = torch.ldexp(torch.ones_like(exponent, dtype=torch.float64), exponent - 20)
    return (matrix.double() / unit).round_(), unit
