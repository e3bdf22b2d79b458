"""Tune CLIP from the command line, on one process or, launched by accelerate, on several.

    python -m agt_lib.clip_tuning --corpus mer2024 --root mer2024-dataset --model ViT-L-14/openai
    accelerate launch --num_processes 8 -m agt_lib.clip_tuning ...
    accelerate launch --num_machines 2 --machine_rank 0 --main_process_ip ADDRESS ... -m ...

Tunes the models of all folds and the one on all labelled clips, or of `--which`. What notebook 02
asks for afterwards with the same configuration is there. On several machines `AGT_DATA` must name
a folder that all of them see.
"""

import argparse
from dataclasses import fields

from accelerate import PartialState

from agt_lib import corpora
from agt_lib.clip_tuning.config import TuneConfig
from agt_lib.clip_tuning.models import ALL, jobs, run
from agt_lib.corpora.folds import folds_of
from agt_lib.features.clip import LOCAL
from agt_lib.workspace import paths


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="agt_lib.clip_tuning",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--corpus", required=True, help=", ".join(corpora.SOURCES))
    parser.add_argument("--root", default=None)
    parser.add_argument("--model", default=f"{LOCAL}{paths.SMALL_CLIP}", help="as ClipEncoder's")
    parser.add_argument("--which", nargs="*", help="numbers of folds, or all; default: every one")
    parser.add_argument("--n-folds", type=int, default=5)
    parser.add_argument("--fold-seed", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--small", action="store_true", help="the small CLIP's configuration")
    chosen = parser.add_argument_group("configuration (default: TuneConfig's)")
    for option in fields(TuneConfig):
        name = f"--{option.name.replace('_', '-')}"
        if option.type is bool:
            chosen.add_argument(name, action=argparse.BooleanOptionalAction, default=None)
        elif option.name == "betas":
            chosen.add_argument(name, type=float, nargs=2, default=None)
        else:
            chosen.add_argument(name, type=option.type, default=None)
    given = vars(parser.parse_args())
    changes = {f.name: given[f.name] for f in fields(TuneConfig) if given[f.name] is not None}
    if "betas" in changes:
        changes["betas"] = tuple(changes["betas"])
    config = TuneConfig.small(**changes) if given["small"] else TuneConfig(**changes)

    state = PartialState(cpu=given["device"] == "cpu")
    with state.main_process_first():  # renders or decodes once; the others find it
        corpus = corpora.load(given["corpus"], given["root"])
        folds = folds_of(corpus, given["n_folds"], given["fold_seed"])
        which = [ALL if w == "all" else int(w) for w in given["which"] or []]
        planned = jobs(
            corpus,
            folds,
            given["model"],
            config,
            which=which or [*range(int(folds.max()) + 1), ALL],
            seed=given["seed"],
            device=given["device"],
            progress=state.is_main_process,
        )
    for job in planned:
        folder = run(job)
        if state.is_main_process:
            print(paths.relative(folder), flush=True)


if __name__ == "__main__":
    main()
