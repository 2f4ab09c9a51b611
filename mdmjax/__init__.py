"""Exact numbers and optimal unmasking schedules for masked diffusion models, in JAX.

The names below are loaded when they are first used, so that `mdmjax --help` answers at once;
`__init__.pyi` is the table of contents.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
