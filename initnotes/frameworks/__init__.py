"""What torch, Keras, JAX and Flax draw under each of their names, and one library's call in another's terms.

What lives here knows other libraries' initializers; jax, keras and flax load when first used. The rooms, from the
ground up: `laws`, `libraries`, `registry`, `measured`, `signals`, `storage`, `as_they_come` (layers), `seeds`,
`of_recipes`
(roles of a language model), `translation`, `counts`.
"""

from .as_they_come import default_law, defaults
from .counts import translations
from .laws import KEPT, Constant, Fixed, Law, Scaled, Special
from .libraries import INSTALL, LIBRARIES, read_fans, versions
from .measured import LAYERS, Summary, Weight, draws, equal_names, fan_factors, initializers, sample, summarize
from .registry import REGISTRY, Call, Named, call, law, names
from .seeds import seeding, sparse_leak
from .signals import FACTORS, forward_factors, position_factors
from .storage import by_inverse, in_dtypes, left_unset
from .translation import Translation, translate

__all__ = ["FACTORS", "INSTALL", "KEPT", "LAYERS", "LIBRARIES", "REGISTRY", "Call", "Constant", "Fixed", "Law", "Named"]
__all__ += ["Scaled", "Special", "Summary", "Translation", "Weight", "by_inverse", "call", "default_law", "defaults"]
__all__ += [
    "draws",
    "equal_names",
    "fan_factors",
    "forward_factors",
    "in_dtypes",
    "initializers",
    "law",
    "left_unset",
    "names",
]
__all__ += ["position_factors", "read_fans", "sample", "seeding", "sparse_leak", "summarize"]
__all__ += ["translate", "translations", "versions"]
