"""Score arrays, RAW files and models against the truth, photos against their cycle; write challenge entries."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "blind_pairs": ["BlindPair", "blind_pictures", "read_blind_pair"],
        "blind_table": ["blind_table"],
        "paired": ["Difference", "camera_mean", "paired_difference"],
        "pushed": ["pushed_pair"],
        "report": ["ReportImage", "ReportRow", "write_report"],
        "run": ["evaluate"],
        "score_blind": ["BlindEvaluation", "model_method", "score_blind", "score_methods"],
        "score_cycle": ["score_cycle"],
        "score_model": ["ModelEvaluation", "score_model"],
        "score_raw": ["score_raw_files"],
        "score_submissions": ["score_submissions"],
        "scores": ["Evaluation", "ImageScores", "score_pair", "score_srgb"],
        "write_scores": ["score_table", "write_scores"],
        "write_submission": ["write_submission"],
    },
)
