"""Scoring: arrays, DNGs and models against the truth, photos against their development, and challenge entries."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "cycle": ["score_cycle"],
        "dng": ["score_raw_files"],
        "models": ["ModelEvaluation", "score_model"],
        "report": ["ReportImage", "ReportRow", "write_report"],
        "run": ["evaluate"],
        "scores": ["Evaluation", "ImageScores", "score_pair", "score_srgb"],
        "submission": ["write_submission"],
        "submissions": ["score_submissions"],
        "write": ["table", "write_scores"],
    },
)
