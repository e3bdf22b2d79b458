"""The command `agt`: predict new clips, run notebooks, look at runs."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from agt_lib.workspace import kept, paths, story
from agt_lib.workspace.profiles import PROFILES
from agt_lib.workspace.words import neutral, visible

LONG = 1000
"""Columns of a terminal that a table may be wide before it is folded."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 if all of it was done, 1 if not, and stderr says why."""
    parser = argparse.ArgumentParser(prog="agt", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    one = commands.add_parser("predict", help="the emotions of new clips, as a table")
    one.set_defaults(call=predict)
    one.add_argument("clips", nargs="+", help="media files, folders of them, or a CSV")
    one.add_argument("--model", required=True, help="a run of notebook 04, or a bundle's folder")
    one.add_argument(
        "--speaker", action="append", default=[], metavar="WHO|CLIP=WHO",
        help="who speaks: one for all clips, or, given several times, each clip's by its name",
    )  # fmt: skip
    one.add_argument("--text", help="the words, if one clip is given")
    one.add_argument("--prior", help="prior.csv as notebook 06 writes it: adds the paper's vote")
    one.add_argument("--out", type=Path, help="a .csv or .json file; without it a table is printed")

    one = commands.add_parser("run", help="run a notebook headless")
    one.set_defaults(call=run)
    one.add_argument("notebook", help="its name, such as 04_train_agt")
    one.add_argument(
        "-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), dest="parameters"
    )
    one.add_argument("--out", type=Path, help="the executed notebook; else in data/runs/notebooks")

    one = commands.add_parser("reproduce", help="run the notebooks 01 to 08 in order")
    one.set_defaults(call=lambda given: story.reproduce(given.profile))
    one.add_argument("--profile", default="mini", choices=list(PROFILES))

    one = commands.add_parser("info", help="what a run was made from, and its scores")
    one.set_defaults(call=info)
    one.add_argument("run", help="the folder of its results, or its name in data/runs")

    one = commands.add_parser("models", help="the runs whose models predict new clips")
    one.set_defaults(call=models)

    given = parser.parse_args(arguments)
    try:
        return given.call(given)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"agt: {visible(str(error))}", file=sys.stderr)
        return 1


def predict(given: argparse.Namespace) -> int:
    """`agt predict`: 1 if a clip got no emotion; the others' rows are written all the same."""
    from agt_lib import prediction, voting

    if given.out and given.out.suffix not in (".csv", ".json"):
        raise ValueError(f"--out is a file that ends in .csv or .json; got {given.out}")
    clips: list = given.clips
    if given.text is not None:
        one = len(clips) == 1 and Path(clips[0]).is_file()
        if not one or Path(clips[0]).suffix.lower() in (".csv", ".tsv"):
            raise ValueError("--text goes with one media file; give a CSV for several")
        (row,) = prediction.read_clips(clips[0]).clips.to_dict("records")
        clips = [row | {"text": given.text, "name": Path(clips[0]).stem}]
    pairs = [text.rpartition("=") for text in given.speaker]
    speaker = {clip: who for clip, sign, who in pairs if sign}
    if len(given.speaker) != len(speaker) and len(given.speaker) > 1:
        raise ValueError("--speaker is given once for all clips, or for each as CLIP=WHO")
    paths.check_data()
    bundle = prediction.Bundle.load(prediction.find_bundle(given.model))
    prior = None
    if given.prior:
        shares, _ = voting.read_prior(given.prior, bundle.labels)
        prior = dict(zip(bundle.labels, shares, strict=True))
    table = prediction.predict(
        clips, bundle, speaker=speaker or next(iter(given.speaker), None), prior=prior, keep=True
    )
    if given.out is None:
        shown = table.drop(columns=list(bundle.labels)).round(2).astype(object)
        print(shown.where(shown.notna(), "").to_string(line_width=LONG))
    elif given.out.suffix == ".csv":
        kept.write_atomic(given.out, neutral(table).to_csv())
    else:
        kept.write_atomic(given.out, table.reset_index().to_json(orient="records", indent=1))
    print(f"models: {bundle.corpus}", file=sys.stderr)
    if given.text is not None and "text" not in bundle.encoders:
        print("the models read no words: --text was not used", file=sys.stderr)
    if known := sorted({pair[2] for pair in pairs} & set(bundle.speakers)):
        who = f"{', '.join(known)}: of the run's own speakers"
        print(f"{who}, whose statistics scale the clips called so", file=sys.stderr)
    failed = table.index[table["emotion"].isna()]
    if len(failed):
        print(f"{len(failed)} of {len(table)} clips have no emotion; see `absent`", file=sys.stderr)
    return int(len(failed) > 0)


def run(given: argparse.Namespace) -> int:
    """`agt run`: 0 if the notebook ran to its end and left finished results."""
    paths.check_data()
    known = {source.stem: source for source in story.notebooks()}
    name = Path(given.notebook).stem
    if name not in known:
        raise ValueError(f"no notebook {given.notebook!r}; there are {', '.join(known)}")
    began = time.time()
    stamp = time.strftime("%Y%m%d-%H%M%S")
    output = given.out or paths.runs() / "notebooks" / f"{name}-{stamp}.ipynb"
    story.execute(known[name], output, story.typed(known[name], dict(given.parameters)))
    if not (left := story.results_since(name, began)):
        raise story.NotebookError(f"{name} ran to its end and left no finished results")
    print(story.result(output) or "")
    print(f"executed: {output}\nresults: {', '.join(paths.relative(path) for path in left)}")
    return 0


def info(given: argparse.Namespace) -> int:
    """`agt info`: what made a run, which files it left, and the scores of its table 1."""
    folder = next(
        (p for p in (Path(given.run), paths.runs() / given.run) if (p / kept.MANIFEST).is_file()),
        None,
    )
    if folder is None:
        raise FileNotFoundError(f"no finished run {given.run}; there are {_names(paths.runs())}")
    manifest = kept.read_manifest(folder)
    made_from, facts = manifest.get("made_from", {}), manifest.get("facts", {})
    print(f"{folder}\nnotebook {made_from.get('notebook')}, {manifest['seconds']:.0f} s")
    print(f"corpus {facts.get('corpus', {}).get('name')}")
    for title in ("parameters", "rooms", "versions"):
        print(f"{title}: " + ", ".join(f"{k} {v}" for k, v in made_from.get(title, {}).items()))
    print(f"files: {', '.join(n for n in manifest.get('files', {}) if '/' not in n)}")
    if (folder / "table1.csv").is_file():
        columns = ["features", "model", "set", "waf", "waf_low", "waf_high", "clips"]
        print(pd.read_csv(folder / "table1.csv")[columns].round(1).to_string(index=False))
    return 0


def models(given: argparse.Namespace) -> int:
    """`agt models`: each run with a bundle, the newest first."""
    from agt_lib import prediction

    for folder in prediction.with_bundles():
        bundle = kept.read_manifest(folder / prediction.FOLDER)
        reads = ", ".join(f"{m} {spec}" for m, spec in bundle["encoders"].items())
        print(f"{folder.name}: {bundle['corpus']}; {reads}")
    if not prediction.with_bundles():
        print(f"none in {paths.runs()}: run notebook 04, or `make reproduce`")
    return 0


def _names(folder: Path) -> str:
    """The finished runs in `folder`."""
    found = sorted(path.parent.name for path in folder.glob(f"*/{kept.MANIFEST}"))
    return ", ".join(found) or "none"


if __name__ == "__main__":
    sys.exit(main())
