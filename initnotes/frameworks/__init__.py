"""What torch, Keras and JAX draw under each of their names, and one library's call in another's terms.

What lives here knows other libraries' initializers; jax and keras load when first used. The rooms, from the ground up:
`laws`, `libraries`, `registry`, `measured`, `as_they_come` (layers), `seeds`, `translation`.
"""

from .as_they_come import default_law, defaults
from .laws import KEPT, Constant, Fixed, Law, Scaled, Special
from .libraries import INSTALL, LIBRARIES, read_fans, versions
from .measured import (
    FACTORS,
    LAYERS,
    Summary,
    Weight,
    draws,
    fan_factors,
    forward_factors,
    initializers,
    sample,
    summarize,
)
from .registry import REGISTRY, Call, Named, call, law, names
from .seeds import seeding, sparse_leak
from .translation import Translation, translate, translations

__all__ = ["FACTORS", "INSTALL", "KEPT", "LAYERS", "LIBRARIES", "REGISTRY", "Call", "Constant", "Fixed", "Law", "Named"]
__all__ += ["Scaled", "Special", "Summary", "Translation", "Weight", "call", "default_law", "defaults", "draws"]
__all__ += ["fan_factors", "forward_factors", "initializers", "law", "names", "read_fans", "sample", "seeding"]
__all__ += ["sparse_leak", "summarize", "translate", "translations", "versions"]
