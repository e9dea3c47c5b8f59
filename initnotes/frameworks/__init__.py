"""What torch, Keras and JAX draw under each of their names, and one library's call in another's terms.

What lives here knows other libraries' initializers; jax and keras load when first used.
"""

from .translation import translate

__all__ = ["translate"]
