"""Train and score many methods on equal terms, cell by cell, and write a leaderboard."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "cell": ["run_cell"],
        "cost": ["Cost", "measure_cost"],
        "leaderboard": ["Row", "leaderboard", "write_leaderboard"],
        "plan": ["Cell", "plan_cells"],
        "results": ["CellResult", "read_result"],
    },
)
