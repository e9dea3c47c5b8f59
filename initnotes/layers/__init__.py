"""Any ``torch.nn.Module`` filled by a scheme, each layer with the fans that it really has.

What lives here writes parameters and says which; what the network then does to a signal is for ``examine``.
"""

from .fill import LAYERS, NORMS, Plan, has_rule, initialize_, plan, true_fans, weight_names

__all__ = ["LAYERS", "NORMS", "Plan", "has_rule", "initialize_", "plan", "true_fans", "weight_names"]
