"""Tune CLIP from the command line, on one process or, launched by accelerate, on several.

    python -m agt_lib.clip_tuning --corpus mer2024 --root mer2024-dataset --model ViT-L-14/openai
    accelerate launch --num_processes 8 -m agt_lib.clip_tuning ...
    accelerate launch --num_machines 2 --machine_rank 0 --main_process_ip ADDRESS ... -m ...

Tunes the models of all folds and the one on all labelled clips, or those of `--which`. Notebook 02
finds them if it is run with the same configuration. On several machines `AGT_DATA` must name a
folder that all of them see.
"""

import argparse
from dataclasses import fields, replace

from accelerate import PartialState

from agt_lib import corpora
from agt_lib.clip_tuning.config import TuneConfig, clip_to_tune
from agt_lib.clip_tuning.models import ALL, jobs, tuned_models
from agt_lib.corpora.folds import folds_of, tuning_folds
from agt_lib.corpora.media import MAX_SECONDS
from agt_lib.features.frames import NONE
from agt_lib.workspace import paths


def main() -> None:
    """Read the command line and tune."""
    parser = argparse.ArgumentParser(
        prog="agt_lib.clip_tuning",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--corpus", required=True, help=", ".join(corpora.SOURCES))
    parser.add_argument("--root")
    parser.add_argument("--model", default="", help="as ClipEncoder's; default: the small CLIP")
    parser.add_argument("--which", nargs="*", help="numbers of folds, or all; default: every one")
    parser.add_argument("--n-folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--face", default=NONE, help="as notebook 02's; default: whole frames")
    parser.add_argument("--max-seconds", type=float, default=MAX_SECONDS)
    chosen = parser.add_argument_group("configuration (default: that of the model)")
    for field in fields(TuneConfig):
        flag = {"action": argparse.BooleanOptionalAction}
        kind = flag if field.type is bool else {"type": field.type}
        chosen.add_argument(f"--{field.name.replace('_', '-')}", **kind)
    given = parser.parse_args()
    model, config = clip_to_tune(f"clip:{given.model}")
    changes = {field.name: getattr(given, field.name) for field in fields(TuneConfig)}
    config = replace(config, **{k: v for k, v in changes.items() if v is not None})

    state = PartialState(cpu=given.device == "cpu")
    with state.main_process_first():  # renders or decodes once; the others find it
        corpus = corpora.load(given.corpus, given.root)
        folds = tuning_folds(corpus, folds_of(corpus, given.n_folds))
        which = given.which or [*range(int(folds.max()) + 1), "all"]
        planned = jobs(
            corpus, folds, model, config, which=[ALL if w == "all" else int(w) for w in which],
            seed=given.seed, face=given.face,
            max_seconds=given.max_seconds, device=given.device, progress=state.is_main_process,
        )  # fmt: skip
    folders = tuned_models(planned, workers=1, progress=state.is_main_process)
    if state.is_main_process:
        print(*map(paths.relative, folders), sep="\n")


if __name__ == "__main__":
    main()
