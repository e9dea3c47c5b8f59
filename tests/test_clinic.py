"""The eight sick networks: the same for the same generator, found by an audit, repaired by its fixes."""

import numpy as np
import pytest
import torch

import initnotes as ini
from initnotes import clinic

KINDS = {
    "twins": "symmetric units",
    "mute": "zero weights",
    "numb": "dead units",
    "rigid": "saturated units",
    "fading": "vanishing gradient",
    "avalanche": "exploding gradient",
    "loud": "initial loss",
    "raw": "unscaled inputs",
}


def _audit(sick: clinic.Patient) -> ini.examine.Report:
    return ini.audit(sick.model, sick.batch, loss=sick.loss)


@pytest.mark.parametrize("name", clinic.PATIENTS)
def test_a_patient_is_found_ill_and_gets_well(name: str) -> None:
    """In 2 draws of each; benchmarks and chapter 21 count more."""
    for seed in range(2):
        rng = np.random.default_rng([3, seed])
        sick = clinic.patient(name, rng=rng)
        report = _audit(sick)
        assert KINDS[name] in report.kinds(), report
        healed = clinic.treat(sick, report, rng=rng)
        assert _untried(healed).healthy, _untried(healed)


def test_a_patient_is_the_same_for_the_same_generator() -> None:
    torch.manual_seed(1)
    first = clinic.patient("fading", rng=np.random.default_rng(1))
    before = torch.get_rng_state()
    again = clinic.patient("fading", rng=np.random.default_rng(1))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first.batch, again.batch)
    pairs = zip(first.model.parameters(), again.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert _untried(first).to_json() == _untried(again).to_json()


def test_an_architecture_is_the_same_for_the_same_seed() -> None:
    first, again = (clinic.architecture("lstm", seed=4) for _ in range(2))
    assert torch.equal(first.batch, again.batch)
    assert _audit(first).to_json() == _audit(again).to_json()


def test_names_are_checked() -> None:
    with pytest.raises(ValueError, match="did you mean 'fading'"):
        clinic.patient("fadign", rng=np.random.default_rng(1))
    with pytest.raises(ValueError, match="unknown architecture"):
        clinic.architecture("vgg", seed=1)
    with pytest.raises(TypeError, match="Generator"):
        clinic.patient("raw", rng=1)  # type: ignore[arg-type]


def test_a_course_leaves_the_patient_alone() -> None:
    sick = clinic.patient("avalanche", rng=np.random.default_rng(1))
    before = [parameter.detach().clone() for parameter in sick.model.parameters()]
    losses = clinic.course(sick, steps=20)
    assert losses.shape == (20,)
    assert np.isinf(losses[-1])
    assert all(torch.equal(a, b) for a, b in zip(before, sick.model.parameters(), strict=True))


def test_public_networks_are_judged_as_chapter_11_says() -> None:
    for seed in (1, 2):
        gated, decoder, tied = (clinic.public(name, seed=seed) for name in clinic.PUBLIC)
        assert _untried(gated).healthy
        for at in range(1, 7):
            torch.nn.init.zeros_(gated.model.get_parameter(f"{at}.outer.weight"))
        stuck = _untried(gated)
        assert {finding.layer for finding in stuck.findings if finding.severity == "error"} == {"1.outer", "1.gate"}
        assert _untried(decoder).kinds() == ["vanishing gradient"]
        # at stride 2 a quarter of the kernel reaches a pixel
        assert _untried(decoder).layers[1].sigma_w == pytest.approx(12**-0.5, rel=0.05)
        assert (_untried(tied).findings[0].kind, _untried(tied).findings[0].layer) == ("weight scale", "head")


def _untried(sick: clinic.Patient) -> ini.examine.Report:
    return ini.audit(sick.model, sick.batch, loss=sick.loss, try_fixes=False)


def test_a_public_network_is_the_same_for_the_same_seed() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, again = (clinic.public("tied", seed=4) for _ in range(2))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first.batch, again.batch)
    pairs = zip(first.model.parameters(), again.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    with pytest.raises(ValueError, match="did you mean 'gated'"):
        clinic.public("gate", seed=1)
