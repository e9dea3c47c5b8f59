"""What may cross between a submission and its judge: JSON values and plain arrays, of limited size.

What lives here packs and unpacks, and judges nothing. The standard library only, and NumPy where an array crosses: the
submission's process loads it too.
"""

import ast
import itertools
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

DTYPES = ("|b1", "|i1", "|u1", *(f"<{kind}{size}" for kind in "iu" for size in (2, 4, 8)), "<f2", "<f4", "<f8")
COMPLEX = ("<c8", "<c16")
MAX_DEPTH = 20
MAX_ITEMS = 100_000
MAX_BITS = 1023  # of an integer: a float holds it
MAX_DIMENSIONS = 32
MAX_TEXT = 1 << 20  # characters of all strings together
MAX_LINE = 1 << 23  # bytes of a message's JSON
MAX_MESSAGES = 10_000  # that are read of one submission
MAX_EMPTY = 1 << 26  # numbers that an array without any would have, if the axes of length 0 were not there
_ALLOWED = "return numbers, strings, lists, tuples, dicts, or numeric NumPy arrays"
_CALCULATED = "what is calculated; write the numbers themselves, as your functions print them"
_LENGTH = 8  # bytes in front of a frame


class Refused(ValueError):  # noqa: N818
    """A value that may not cross."""


class _Packer:
    """Turns one value into a tree of JSON values, and the arrays in it into bytes."""

    def __init__(self, largest: int) -> None:
        self.blobs: list[bytes] = []
        self.items, self.left, self.text = 0, largest, MAX_TEXT

    def tree(self, value: Any, depth: int = 0) -> Any:
        self.items += 1
        if self.items > MAX_ITEMS or depth > MAX_DEPTH:
            raise Refused(f"a value with more than {MAX_ITEMS} items or {MAX_DEPTH} levels; return an array, or less")
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int | float | str):
            return self.scalar(value)
        if isinstance(value, list | tuple):
            kind = "list" if isinstance(value, list) else "tuple"
            return {kind: [self.tree(item, depth + 1) for item in value]}
        if isinstance(value, dict):
            return {"dict": [[self.key(key), self.tree(item, depth + 1)] for key, item in value.items()]}
        numpy = sys.modules.get("numpy")
        if numpy is not None and isinstance(value, numpy.generic) and value.dtype.kind in "biuf":
            return {"b": bool, "f": float}.get(value.dtype.kind, int)(value)
        return self.array(value)

    def scalar(self, value: Any) -> Any:
        """Return a number or a string as one of Python's own kind, whatever its class says of it."""
        if isinstance(value, int):
            if int.bit_length(value) > MAX_BITS:
                raise Refused(f"an integer of more than {MAX_BITS} bits; return a smaller one")
            return int.__int__(value)
        if isinstance(value, float):
            return float.__float__(value)
        self.text -= str.__len__(value)
        if self.text < 0:
            raise Refused(f"more than {MAX_TEXT} characters of text; return less")
        return str.__str__(value)

    def key(self, key: Any) -> Any:
        if key is None or isinstance(key, bool | int | float | str):
            return key if key is None or isinstance(key, bool) else self.scalar(key)
        raise Refused(f"a dict with a key of type {type(key).__name__}; use strings or numbers as keys")

    def array(self, value: Any) -> dict[str, Any]:
        """Keep an array's own buffer; whatever a subclass overrides stays behind."""
        plain = _plain(value)
        if plain.dtype.kind not in "biufc":
            raise Refused(f"an array of dtype {plain.dtype}; {_ALLOWED}")
        self.left -= plain.nbytes
        if self.left < 0:
            raise Refused("a value that is larger than what may be returned; check its shape")
        target = {("f", 16): "<f8", ("c", 32): "<c16"}.get((plain.dtype.kind, plain.dtype.itemsize))
        plain = plain.astype(target or plain.dtype.newbyteorder("<"), copy=False)
        self.blobs.append(plain.tobytes())
        return {"array": len(self.blobs) - 1, "dtype": plain.dtype.str, "shape": list(plain.shape)}


def _plain(value: Any) -> Any:
    """Return an array or a tensor as a plain ndarray; nothing else is converted, lazy arrays neither."""
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = value.to_dense() if value.layout != torch.strided else value
        value = (value.float() if value.dtype == torch.bfloat16 else value).resolve_conj().resolve_neg().numpy()
    if numpy is None or not isinstance(value, numpy.ndarray | numpy.generic):
        raise Refused(f"a value of type {type(value).__name__}; {_ALLOWED}")
    return numpy.asarray(value) if isinstance(value, numpy.generic) else numpy.ndarray.view(value, numpy.ndarray)


def pack(value: Any, *, largest: int = 1 << 26) -> tuple[Any, list[bytes]]:
    """Return a value as a tree of JSON values and the bytes of its arrays.

    Parameters
    ----------
    value : bool, int, float, str, None, array, or list, tuple or dict of these
        Torch tensors count as arrays. Of a subclass only the buffer crosses.
    largest : int
        Bytes of all arrays and strings together.

    Raises
    ------
    Refused
        If it is, or holds, anything else, or is too large.
    """
    packer = _Packer(largest)
    return packer.tree(value), packer.blobs


def shifted(tree: Any, by: int) -> Any:
    """Return a tree whose arrays are counted from `by`, for several values in one message."""
    if isinstance(tree, dict) and "array" in tree:
        return {**tree, "array": tree["array"] + by}
    if isinstance(tree, dict):
        return {kind: shifted(items, by) for kind, items in tree.items()}
    return [shifted(item, by) for item in tree] if isinstance(tree, list) else tree


def unpack(tree: Any, blobs: Sequence[bytes], depth: int = 0) -> Any:
    """Return the value that `pack` packed. Tree and bytes may come from anybody.

    Raises
    ------
    Refused
        If `pack` does not write such a tree.
    """
    if depth > MAX_DEPTH + 1:
        raise Refused(f"a value of more than {MAX_DEPTH} levels; return a flat list or an array")
    if isinstance(tree, int) and int.bit_length(tree) > MAX_BITS:
        raise Refused(f"an integer of more than {MAX_BITS} bits; return a smaller one")
    if tree is None or isinstance(tree, bool | int | float):
        return tree
    if isinstance(tree, str):
        return tree.encode("utf-8", "replace").decode()
    if isinstance(tree, dict) and "array" in tree:
        return _array(tree, blobs)
    match tree:
        case {"list": list(items)}:
            return [unpack(item, blobs, depth + 1) for item in items]
        case {"tuple": list(items)}:
            return tuple(unpack(item, blobs, depth + 1) for item in items)
        case {"dict": list(pairs)} if all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
            return {_key(key): unpack(item, blobs, depth + 1) for key, item in pairs}
    raise Refused("a value in a form that nothing returns")


def _key(key: Any) -> Any:
    if isinstance(key, int) and int.bit_length(key) > MAX_BITS:
        raise Refused(f"an integer of more than {MAX_BITS} bits; return a smaller one")
    if key is None or isinstance(key, bool | int | float | str):
        return key
    raise Refused("a dict with a key that is neither a string nor a number")


def _array(tree: Mapping[str, Any], blobs: Sequence[bytes]) -> Any:
    """Read an array whose claims about itself fit its bytes."""
    import numpy

    match tree:
        case {"array": int(index), "dtype": str(dtype), "shape": list(shape)} if 0 <= index < len(blobs):
            sizes = len(shape) <= MAX_DIMENSIONS and all(type(size) is int and size >= 0 for size in shape)
            # NumPy refuses shapes that are too large to count, even of arrays without a number in them.
            sizes = sizes and math.prod(size or 1 for size in shape) <= max(MAX_EMPTY, len(blobs[index]))
            if sizes and dtype in DTYPES + COMPLEX and len(blobs[index]) == math.prod(shape) * int(dtype[2:]):
                return numpy.frombuffer(blobs[index], dtype).reshape(shape).copy()
    raise Refused("an array whose shape and type do not fit its bytes")


def written(sources: Sequence[str], name: str) -> Any:
    """Return what the last ``name = ...`` of some cells gives, if it is written out and not calculated.

    Parameters
    ----------
    sources : sequence of str
        Cells, in their order.
    name : str

    Raises
    ------
    Refused
        If there is none, or one that is calculated.
    """
    found = None
    for source in sources:
        try:
            statements = ast.parse(source).body
        except (SyntaxError, ValueError):
            continue
        for statement in statements:
            match statement:
                case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                    found = value
    if found is None:
        raise Refused(f"no value: there is no line that begins with {name} = in an answer cell")
    try:
        return ast.literal_eval(found)
    except (ValueError, TypeError, SyntaxError):
        raise Refused(_CALCULATED) from None


def frame(header: Mapping[str, Any], blobs: Sequence[bytes] = ()) -> bytes:
    """Return one message: its length, a line of JSON, and the bytes of arrays."""
    line = json.dumps({**header, "blobs": [len(blob) for blob in blobs]}).encode()
    if len(line) > MAX_LINE:
        raise Refused(f"values of more than {MAX_LINE} characters; return arrays, or less")
    body = line + b"\n" + b"".join(blobs)
    return framed(body)


def framed(body: bytes) -> bytes:
    """Return a message's body with its length in front."""
    return len(body).to_bytes(_LENGTH, "big") + body


def cut(data: bytes | bytearray) -> Iterator[bytes]:
    """Return the bodies of messages, unread, up to the first that is cut off; of very many, the first ones."""
    start = 0
    for _ in range(MAX_MESSAGES):
        end = start + _LENGTH + int.from_bytes(data[start : start + _LENGTH], "big")
        if start + _LENGTH > len(data) or end > len(data):
            break
        yield bytes(data[start + _LENGTH : end])
        start = end


def frames(data: bytes | bytearray) -> list[tuple[dict[str, Any], list[bytes]]]:
    """Return the messages in a stream, up to the first that is cut off or broken."""
    return list(itertools.takewhile(bool, map(_message, cut(data))))  # type: ignore[arg-type]


def _message(body: bytes) -> tuple[dict[str, Any], list[bytes]] | None:
    cut = body.find(b"\n", 0, MAX_LINE + 1)
    line, rest = body[:cut], body[cut + 1 :]
    try:
        header = json.loads(line) if cut >= 0 else None
    except (ValueError, RecursionError):
        return None
    sizes = header.get("blobs") if isinstance(header, dict) else None
    if (
        not isinstance(header, dict)
        or not isinstance(sizes, list)
        or not all(type(size) is int and size >= 0 for size in sizes)
    ):
        return None
    if sum(sizes) != len(rest):
        return None
    cuts = [0, *itertools.accumulate(sizes)]
    return header, [rest[low:high] for low, high in itertools.pairwise(cuts)]


def printable(text: str, longest: int) -> str:
    """Return text with its control characters written out, cut in the middle where it is long."""
    kept = "".join(letter if letter.isprintable() or letter in "\n\t" else _escaped(letter) for letter in text)
    if len(kept) <= longest:
        return kept
    return f"{kept[: longest // 2]}\n[... {len(kept) - longest} characters left out ...]\n{kept[-(longest // 2) :]}"


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode()


def plain_json(value: Any) -> Any:
    """Return a value as strict JSON: NumPy's numbers and arrays as Python's, NaN and infinities as None."""
    if isinstance(value, Mapping):
        return {str(key): plain_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(item) for item in value]
    if hasattr(value, "tolist"):
        return plain_json(value.tolist())
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    raise TypeError(f"{type(value).__name__} is not a JSON value; use numbers, strings, lists and dicts")
