"""Audio-Guided Fusion Techniques for Multimodal Emotion Analysis, as an open library.

An implementation of Shi & Gao, MRAC '24 (https://doi.org/10.1145/3689092.3689414).
The numbered notebooks tell the story; the modules here do the work. Modules import
only from the floors below them:

1. `emotions`, `paths`, `device`, `profiles`, `progress`
2. `artefact`, `media`, `corpus`, `folds`, `features`, `ledger`, `store`
3. `corpora`, `encoders`, `fusion` (a file each for a source, an extractor, a network)
4. `extract`; `fusion_data`, `fusion_config`, `scaling`, `fitted`, `saved`, `training`, `crossval`,
   `reference`
5. `evaluation`, `table1`, `robustness`
6. `preview`, `plots`, `runs`, `reproduce`
"""

__version__ = "0.1.0"
