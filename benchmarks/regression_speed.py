"""Time of logistic regression for all folds and strengths at once, against scikit-learn's.

    python benchmarks/regression_speed.py [--clips 5030] [--folds 5]

At the widths of MER2024's features (1024, 768 and 5120), on random features with a signal, one
thread: one model for each fold and each of the library's strengths, as `fusion.references` fits
them inside. scikit-learn fits one strength's models, and its time is multiplied. Beside it stands
the largest difference between their probabilities.
"""

import argparse
import time

import numpy as np
from fusion_speed import SIZES, random_data
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from agt_lib.fusion.reference import STRENGTHS
from agt_lib.fusion.regression import fit_regressions
from agt_lib.fusion.scaling import fit_scaler


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=SIZES["MER2024"][0])
    parser.add_argument("--folds", type=int, default=5)
    options = parser.parse_args()
    data = random_data(options.clips, SIZES["MER2024"][1])
    numbers = np.arange(options.clips) // len(data.label_set) % options.folds
    rows = [np.flatnonzero(numbers != fold) for fold in range(options.folds)]
    strength = STRENGTHS[len(STRENGTHS) // 2]

    started = time.perf_counter()
    every = [own for own in rows for _ in STRENGTHS]
    models = fit_regressions(data, every, [*STRENGTHS] * options.folds, "fold")
    ours = time.perf_counter() - started
    models = models[STRENGTHS.index(strength) :: len(STRENGTHS)]

    started, apart = time.perf_counter(), 0.0
    with threadpool_limits(1):
        for own, model in zip(rows, models, strict=True):
            x = np.concatenate([fit_scaler(x[own])(x) for x in data.features.values()], axis=1)
            plain = LogisticRegression(C=strength, max_iter=1000).fit(x[own], data.labels[own])
            apart = max(apart, np.abs(plain.predict_proba(x) - model.predict(data)).max())
    plain = (time.perf_counter() - started) * len(STRENGTHS)
    n = len(every)
    print(f"{n} models of {options.clips} clips, {sum(data.dims.values())} columns, one thread")
    times = plain / ours
    print(f"all at once {ours:.0f} s; scikit-learn, one by one, {plain:.0f} s: {times:.1f} times")
    print(f"largest difference of a probability at C = {strength}: {apart:.4f}")


if __name__ == "__main__":
    main()
