"""The page that shows where a model is wrong: figures, plots, and photos beside their RAW."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={"page": ["ReportRow", "write_report"], "pictures": ["ReportImage"]},
)
