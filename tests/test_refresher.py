"""The network that the refresher works out by hand, worked out by autograd."""

import torch

from tools import notebooks

PAGE = " ".join((notebooks.ROOT / "book" / "refresher.md").read_text(encoding="utf-8").split())


def worked(w: list[list[float]], v: list[float]) -> tuple[torch.Tensor, list[torch.Tensor], torch.Tensor, torch.Tensor]:
    """Return z, the gradients at (w, v, h, z), the output and the loss for the page's input and target."""
    x, w, v = (torch.tensor(part, dtype=torch.float64) for part in ((1.0, 2.0), w, v))
    w.requires_grad_()
    v.requires_grad_()
    z = w @ x
    h = torch.relu(z)
    output = v @ h
    loss = (output - 1) ** 2 / 2
    return z, list(torch.autograd.grad(loss, (w, v, h, z))), output, loss


def told(*texts: str) -> list[str]:
    """Return which of the texts the page does not have."""
    return [text for text in texts if text not in PAGE]


def test_the_example_is_right() -> None:
    w, v = [[0.5, 0.5], [1.0, -1.0]], [2.0, 3.0]
    z, (by_w, by_v, by_h, by_z), output, loss = worked(w, v)
    assert (z.tolist(), output.item(), loss.item()) == ([1.5, -1.0], 3.0, 2.0)
    assert (by_v.tolist(), by_h.tolist(), by_z.tolist()) == ([3.0, 0.0], [4.0, 6.0], [4.0, 0.0])
    assert by_w.tolist() == [[4.0, 8.0], [0.0, 0.0]]
    assert (
        told(
            "2\\cdot1.5 = 3$ and $2\\cdot0 = 0$", "$2\\cdot2 = 4$ and $2\\cdot3 = 6$", "= (4, 8)$, unit 2 gets $(0, 0)$"
        )
        == []
    )


def test_the_step_is_right() -> None:
    *_, output, loss = worked([[0.3, 0.1], [1.0, -1.0]], [1.85, 3.0])
    assert f"{output:.3f}" == "0.925"
    assert f"{loss:.3f}" == "0.003"
    assert told("become $1.85$ and $3$", "$(0.3, 0.1)$", "= 0.925$, and the loss has fallen from $2$ to $0.003$") == []


def test_the_answer_is_right() -> None:
    _, (_, by_v, by_h, _), output, _ = worked([[0.5, 0.5], [0.5, 0.5]], [2.0, 3.0])
    assert (output.item(), by_v.tolist(), by_h.tolist()) == (7.5, [9.75, 9.75], [13.0, 19.5])
    assert told("= 7.5$", "its slope $6.5$", "= 9.75$", "= 13$", "= 19.5$") == []
