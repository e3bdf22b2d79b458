"""Machine and disk: folders, processor, what is kept, a notebook's run, the story of notebooks.

Knows no clip and no model.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"run": ["start"]})
