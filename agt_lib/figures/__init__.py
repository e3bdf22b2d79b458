"""The paper's figure 3 and tables, from results on disk (notebook 08); on plain tables, no torch.

Figures 1 and 2, which depend on no result, are drawn by scripts in the folder `figures/`.
"""

VERSION = 1
"""Raised when the same results give another figure or table."""
