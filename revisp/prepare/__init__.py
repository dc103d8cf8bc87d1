"""Making data sets: camera RAW files, challenge folders, pairs or plain photos in, memory-mapped pairs out.

Scenes of linear light become decoded scenes instead.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "options": ["PrepareOptions"],
        "recognise": ["Plan"],
        "run": ["Preparation", "prepare"],
        "scenes": ["PreparedScenes", "prepare_scenes", "scene_inputs"],
        "sheet": ["write_sheets"],
    },
)
