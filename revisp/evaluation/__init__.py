"""Scoring: arrays, RAW files and models against the truth, photos against their development, challenge entries."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "write_submission": ["write_submission"],
        "report": ["ReportImage", "ReportRow", "write_report"],
        "run": ["evaluate"],
        "score_submissions": ["score_submissions"],
        "score_cycle": ["score_cycle"],
        "score_model": ["ModelEvaluation", "score_model"],
        "score_raw": ["score_raw_files"],
        "scores": ["Evaluation", "ImageScores", "score_pair", "score_srgb"],
        "write_scores": ["score_table", "write_scores"],
    },
)
