"""Pull the plug: kill -9 every kind of work at random moments, and let it go on.

    python tests/torture/plug.py --kills 100 [--seconds N] [--seed 0] [--only JOB]

After each kill the same command runs to its end. Its outputs must be those of a run that nobody
disturbed, nothing that was kept may be done again but the models of one stack, nothing may be left
over, and no process may be alive. Jobs are forked from a process that has imported everything, each
into a session and a data folder of its own. Ends with status 1 if any of that is not so.
"""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}

import argparse
import hashlib
import json
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from faulty_server import serve
from jobs import JOBS, Job, done

HANGS = 120.0  # seconds
OUTPUTS = "outputs.json"
COUNTS = ("kills", "lost", "wrong", "left over", "alive")


def start(work: Any, place: Path) -> int:
    """Fork a process that does `work` in the data folder `place`/data; returns its number."""
    place.mkdir(exist_ok=True)
    number = os.fork()
    if number:
        while os.getpgid(number) != number:  # until it is a group that can be killed by itself
            time.sleep(0.001)
        return number
    status = 1
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent may ignore it
        log = os.open(place / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1), os.dup2(log, 2)
        (place / "tmp").mkdir(exist_ok=True)
        tempfile.tempdir = None
        os.environ |= {"AGT_DATA": str(place / place.name), "TMPDIR": str(place / "tmp")}
        torch.set_num_threads(1)  # makes its pool anew; two threads at once would fail at that
        done[0] = 0
        found = {"outputs": {name: _hash(value) for name, value in work().items()}, "done": done[0]}
        (place / OUTPUTS).write_text(json.dumps(found))
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(status)


def ended(number: int, seconds: float) -> int | None:
    """The status of the process once it ended; None if it did not within `seconds`."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found, status = os.waitpid(number, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    return None


def killed(number: int) -> bool:
    """Kill the process and its group as a power cut does; whether it was running."""
    os.killpg(os.getpgid(number), signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]) == -signal.SIGKILL


def alive(session: int, place: Path, wait: float = 3.0) -> list[str]:
    """The processes of a killed session, or with its data folder, that do not end by themselves."""
    until = time.monotonic() + wait
    while found := [p.name for p in Path("/proc").iterdir() if _belongs(p.name, session, place)]:
        if time.monotonic() > until:
            for name in found:
                os.kill(int(name), signal.SIGKILL)
            return found
        time.sleep(0.05)
    return []


def _belongs(name: str, session: int, place: Path) -> bool:
    if not name.isdigit():
        return False
    try:
        status = Path("/proc", name, "stat").read_text().rpartition(")")[2].split()
        environment = Path("/proc", name, "environ").read_bytes()
    except OSError:  # it has ended
        return False
    ours = int(status[3]) == session or f"{place}/".encode() in environment
    return ours and status[0] not in "ZX"


def tree(place: Path) -> set[str]:
    """The files that a run left, without the numbers that shards and retries differ in."""
    files = {str(p.relative_to(place)) for p in place.rglob("*") if not p.is_dir()}
    named = {re.sub(r"shard-\d+", "shard", name) for name in files - {OUTPUTS, "log.txt"}}
    return {name.replace(f"{place.name}/", "data/", 1) for name in named}


class Plug:
    """All jobs' inputs and references in `folder`, and what was counted so far."""

    def __init__(self, folder: Path, names: list[str], seed: int):
        self.folder, self.rng = folder, np.random.default_rng(seed)
        self.counts = {name: dict.fromkeys(COUNTS, 0) | {"seconds": 0.0} for name in names}
        self.reference: dict[str, dict] = {}
        self.faults: dict[str, list[str]] = defaultdict(list)

    def work(self, name: str) -> Any:
        return lambda: JOBS[name].work(self.folder / name / "inputs")

    def prepare(self, name: str) -> None:
        """Make the inputs, then the outputs of a run that nobody disturbs."""
        (inputs := self.folder / name / "inputs").mkdir(parents=True)
        JOBS[name].prepare(inputs)
        place = self.folder / name / "reference"
        began = time.monotonic()
        status = ended(start(self.work(name), place), HANGS)
        if status != 0:
            sys.exit(f"{name} does not run: {(place / 'log.txt').read_text()}")
        self.counts[name]["seconds"] = time.monotonic() - began
        self.reference[name] = json.loads((place / OUTPUTS).read_text()) | {"tree": tree(place)}

    def pull(self, name: str, trial: int) -> None:
        """One kill, one run to the end, and what came of it."""
        job, counts, reference = JOBS[name], self.counts[name], self.reference[name]
        place = self.folder / name / f"trial{trial}"
        number = start(self.work(name), place)
        moment = self.rng.uniform(0, counts["seconds"])
        time.sleep(moment)
        if not killed(number):
            shutil.rmtree(place)
            return
        counts["kills"] += 1
        faults = self.faults[name]
        if left := alive(number, place):
            counts["alive"] += len(left)
            faults.append(f"{place}: alive {left} after {moment:.2f} s")
        was_kept = self.kept(job, place)
        status = ended(number := start(self.work(name), place), HANGS)
        if status is None:
            killed(number)
            counts["left over"] += 1
            faults.append(f"{place}: the same command hangs after {moment:.2f} s")
            return
        found = json.loads((place / OUTPUTS).read_text()) if status == 0 else {}
        if found.get("outputs") != reference["outputs"]:
            counts["wrong"] += 1
            faults.append(f"{place}: other outputs, or an error, after {moment:.2f} s")
        left = sorted(tree(place) - reference["tree"])
        counts["left over"] += len(left)
        if was_kept is not None and found:
            lost = max(0, was_kept + found["done"] - reference["done"])
            counts["lost"] += lost
            if lost > job.stack:
                faults.append(f"{place}: {lost} of {was_kept} done again after {moment:.2f} s")
        if left:
            faults.append(f"{place}: left over after {moment:.2f} s: {', '.join(left[:5])}")
        if not (faults and str(place) in faults[-1]):
            shutil.rmtree(place)

    def kept(self, job: Job, place: Path) -> int | None:
        """What is kept, counted by another process, in which reading may repair nothing."""
        if job.kept is None:
            return None
        number = os.fork()
        if not number:
            os.environ["AGT_DATA"] = str(place / place.name)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            (place / "kept").write_text(str(job.kept()))
            os._exit(0)
        ended(number, HANGS)
        count = int((place / "kept").read_text())
        (place / "kept").unlink()
        return count

    def table(self) -> pd.DataFrame:
        """A line for each job, and their sum."""
        table = pd.DataFrame.from_dict(self.counts, orient="index")
        table.loc["all"] = table.sum()
        return table.astype(dict.fromkeys(COUNTS, int)).round({"seconds": 1})


def _hash(value: Any) -> str:
    if isinstance(value, np.ndarray):
        value = f"{value.dtype} {value.shape}".encode() + np.ascontiguousarray(value).tobytes()
    return hashlib.sha256(value if isinstance(value, bytes) else value.encode()).hexdigest()


def main() -> None:
    """Read the command line, pull the plug so often, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=np.inf, help="stop after so many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=JOBS, nargs="*", default=list(JOBS))
    given = parser.parse_args()
    torch.set_num_threads(1)
    ends = time.monotonic() + given.seconds
    folder = Path(tempfile.mkdtemp(prefix="agt-torture-"))
    serve()
    plug = Plug(folder, given.only, given.seed)
    for name in given.only:
        plug.prepare(name)
    shares = [name for name in given.only for _ in range(JOBS[name].share)]
    trial = 0
    while plug.table().loc["all", "kills"] < given.kills and time.monotonic() < ends:
        plug.pull(str(plug.rng.choice(shares)), trial)
        trial += 1
    table = plug.table()
    print(table.to_string())
    for fault in (fault for faults in plug.faults.values() for fault in faults):
        print(fault)
    if any(plug.faults.values()):
        sys.exit(f"what was left for a look: {folder}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
