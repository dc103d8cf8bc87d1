"""Write a report on the errors of a model: figures, plots, and photos with their RAW."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={"page": ["ReportRow", "write_report"], "pictures": ["ReportImage"]},
)
