"""Audio-Guided Fusion Techniques for Multimodal Emotion Analysis, as an open library.

An implementation of Shi & Gao, MRAC '24 (https://doi.org/10.1145/3689092.3689414).
The numbered notebooks tell the story; the modules here do the work. Modules import
only from the floors below them:

1. `emotions`, `paths`, `device`, `profiles`
2. `artefact`, `media`, `corpus`, `folds`, `store`
3. `corpora`, `encoders`, `fusion`
4. `extract`, `training`
5. `evaluation`
6. `plots`, `runs`
"""

__version__ = "0.1.0"
