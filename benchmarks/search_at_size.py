"""Time of a search of 50 draws with inner folds for one row at MER2024's size.

    python benchmarks/search_at_size.py [--reduce 256] [--draws 50] [--model agt]

5030 clips of random features with a signal, inputs 1024, 768 and 5120 wide or on so many principal
components each; five folds, whose pairs are the inner folds. As many processes as cores. What is
fitted is kept in a temporary folder.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from fusion_speed import N_FOLDS, SIZES, random_data

from agt_lib import fusion


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reduce", type=int, default=0)
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--model", default="agt")
    options = parser.parse_args()
    data = random_data(*SIZES["MER2024"])
    folds = pd.Series(np.arange(len(data.names)) // 6 % N_FOLDS, index=list(data.names))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["AGT_DATA"] = folder
        started, scale = time.perf_counter(), "fold"
        if options.reduce:
            (data,), _ = fusion.reduced(options.reduce, data)
            scale = "none"
        configs = {"row": fusion.FusionConfig.default(options.model, data.modalities, scale=scale)}
        chosen = fusion.search(data, folds, configs, draws=options.draws)
        seconds = time.perf_counter() - started
        fits = len([*Path(folder, "derived").iterdir()])
    print(f"{options.model}, {options.draws} draws, {sum(data.dims.values())} columns: ", end="")
    print(f"{fits} models in {seconds / 60:.1f} minutes, {fits / seconds:.2f} a second")
    print(fusion.choices(configs, chosen).to_string())


if __name__ == "__main__":
    main()
