"""Whether a reorganisation changes a result: miniature runs of every command in two checkouts, compared.

    python benchmarks/same_results.py BEFORE AFTER --work DIR
    python benchmarks/same_results.py BEFORE AFTER --work DIR --only train-suite micc

BEFORE and AFTER are checkouts. Each command runs in both, by this Python, on one thread, with its side's own
caches, and with the same inputs, which BEFORE makes: stand-in photographs in LFW's layout, faces with known
landmarks, meshes, and BEFORE's committed checkpoint. Compared are all numbers in results.json, CSV, JSON,
NumPy and HDF5 files and checkpoints, meshes byte for byte, and pictures by their pixels; the layout of tables
and what is printed are not. A value that has another name is a note; so is a difference between figures,
whose words may have changed, and between curves of a log.

What a side has computed is kept in DIR until its code changes. What was renamed between the two checkouts
belongs in CHANGED_AFTER and RENAMED below.
"""

import argparse
import json
import os
import resource
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from benchmarks.file_differences import READERS, Finding, Values, differences

QUIET = "--workers 0 --cache-folder {cache} --output {output}"
SMALL = (
    "--rendered 2 --views 2 --photographs-per-step 8 --synthetic-per-step 4 --synthetic-faces 64 "
    "--synthetic-per-pretraining-step 16 --hidden-width 16 --pretraining-steps 4 --max-steps 6 "
    "--warmup-steps 2 --validation-interval 3 --checkpoint-interval 3 --gradient-norm-interval 3 " + QUIET
)
TRAIN = f"ablations/run.py {SMALL} --no-progress"
FOLDER = "--photographs {inputs}/photographs --validation-fraction 0.2"
SUITE, LFW, PERSON = "{inputs}/suite.ckpt", "--data lfw:{inputs}/lfw", "{inputs}/lfw/lfw/Person_00"
# The command lines, in their order: {results} holds what a side has written so far, by name.
COMMANDS: dict[str, str] = {
    "clustering": f"evaluation/clustering.py {SUITE} --data stand-in --examples 2 {QUIET}",
    "open-model": "-m lightning_modules.faces.open_model",
    "show": "-m lightning_modules.faces.show open --size 64 --output {output}/sheet.png",
    "train-suite": f"{TRAIN} --photographs stand-in --ema 0.9",
    "train-paper": f"{TRAIN} {FOLDER} --method paper",
    "train-without": f"{TRAIN} {FOLDER} --no-loopback --no-pretraining --linear-start 0",
    "train-stage-1": f"{TRAIN} --stage 1 --seed 1",
    "export": "ablations/export.py {results}/train-suite/final.ckpt {output}/small.ckpt --terms none",
    "study": f"ablations/factorial.py --losses loopback --seeds 1 --people 6 {FOLDER} {SMALL}",
    "reconstruct": f"evaluation/reconstruct.py {SUITE} {{inputs}}/lfw/lfw --preview-size 96 {QUIET}",
    "reconstruct-one": f"evaluation/reconstruct.py {SUITE} {PERSON} --one-person {QUIET}",
    "similarity": f"evaluation/similarity.py {SUITE} --data stand-in --centred {QUIET}",
    "similarity-meshes": f"evaluation/similarity.py --meshes {{results}}/reconstruct {LFW} {QUIET} "
    "--groups {inputs}/labels.csv,skin-tone --smallest-group 2",
    "clustering-people": f"evaluation/clustering.py {SUITE} {LFW} --people 6 {QUIET}",
    "verification": f"evaluation/verification.py --network sface {LFW} {QUIET}",
    "reporting-people": f"evaluation/reporting_people.py {SUITE} --data stand-in --people 8 {QUIET}",
    "fairness": f"evaluation/fairness.py {SUITE} --people 12 --smallest-group 2 {QUIET}",
    "robustness": f"evaluation/robustness.py {SUITE} {LFW} --people 2 --pictures 1 {QUIET}",
    "micc": f"evaluation/micc.py {SUITE} --data stand-in --subjects 2 --heat-maps 1 {QUIET}",
    "micc-meshes": "evaluation/micc.py --meshes {inputs}/meshes --data stand-in --subjects 2 --protocol all "
    f"--heat-maps 0 {QUIET}",
    "validity": "evaluation/validity.py --subjects 2 --levels-mm [1.0,2.0] --output {output}",
    "fit": f"evaluation/fit.py {SUITE} {{inputs}}/marked --refine-shape --formats [glb,obj,ply] "
    "--picture-size 96 --output {output}",
    "fit-yunet": f"evaluation/fit.py {SUITE} {{inputs}}/photographs --landmarks yunet --face largest "
    "--picture-size 96 --output {output}",
    "qualitative": f"evaluation/qualitative.py {PERSON} "
    f"suite={SUITE},meshes={{results}}/reconstruct/Person_00 --three-quarter --size 96 --workers 0 "
    "--cache-folder {cache} --output {output}/sheet.png",
}
# Command lines of AFTER that differ, by name.
CHANGED_AFTER: dict[str, str] = {
    "similarity-meshes": COMMANDS["similarity-meshes"].replace(".csv,", ".csv "),
    "qualitative": COMMANDS["qualitative"].replace(" suite=", " --methods suite=", 1),
}
# What AFTER calls words of BEFORE: in names of files, columns and rows, and in cells.
RENAMED: dict[str, str] = {}

PACKAGES = ("lightning_modules", "datamodules", "evaluation", "ablations")
IGNORED_FILES = {"started.json", "plan.json", "state.json"}
# Variables of the user's that would give one side other data or another model.
FORGOTTEN = ("LFW_DIR", "MICC_DIR", "MOFA_DIR", "MORPHABLE_MODEL")
PEOPLE, FOLDS, DEVELOPMENT = 12, 3, 4


class Side(NamedTuple):
    """A checkout and the folder in which its commands run."""

    name: str
    checkout: Path
    folder: Path

    @property
    def results(self) -> Path:
        """The folder of all commands' outputs."""
        return self.folder / "results"

    @property
    def home(self) -> Path:
        """The user's folder, as its commands see it."""
        return self.folder / "home"

    def log(self, name: str, suffix: str = ".txt") -> Path:
        """What a command has printed, or with `.json` how it ended."""
        return self.folder / "logs" / f"{name}{suffix}"

    def run(self, arguments: Sequence[str], log: Path) -> int:
        """The exit status of a Python process: the side's code, its own caches, one thread."""
        own = {
            "PYTHONPATH": self.checkout, "HOME": self.home, "XDG_CACHE_HOME": self.home / ".cache",
            "XDG_CONFIG_HOME": self.home / ".config", "NUMBA_CACHE_DIR": self.folder / "numba",
            "PYTHONPYCACHEPREFIX": self.folder / "bytecode", "WANDB_MODE": "disabled", "COLUMNS": "200",
        }  # fmt: skip
        threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS", "NUMBA")}
        kept = {name: value for name, value in os.environ.items() if name not in FORGOTTEN}
        environment = kept | threads | {name: str(value) for name, value in own.items()}
        with log.open("w", encoding="utf-8") as stream:
            return subprocess.run(
                [sys.executable, *arguments], cwd=self.folder, env=environment, stdin=subprocess.DEVNULL,
                stdout=stream, stderr=subprocess.STDOUT, check=False,
            ).returncode  # fmt: skip


class Ended(NamedTuple):
    """How a command ended: its exit status, and the processor time that it took."""

    status: int
    seconds: float


def main(argv: list[str] | None = None) -> int:
    """Run, compare, report; 0 where all results are the same, 1 where one differs or a command fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("before", type=Path, help="checkout before the reorganisation")
    parser.add_argument("after", type=Path, help="checkout after it; BEFORE again tests this script")
    parser.add_argument("--work", type=Path, required=True, help="folder of the inputs and of both results")
    parser.add_argument(
        "--only", nargs="+", choices=COMMANDS, metavar="NAME", help=f"some of {', '.join(COMMANDS)}"
    )
    options = parser.parse_args(argv)
    work = options.work.absolute()
    before = Side("before", options.before.absolute(), work / "before")
    after = Side("after", options.after.absolute(), work / "after")
    for side in (before, after):
        if not (side.checkout / "ablations" / "run.py").is_file():
            parser.error(f"{side.checkout} is no checkout of this project: it has no ablations/run.py")
    inputs, code = work / "inputs", digest_of_code(before)
    for side in (before, after):
        start(side, f"{digest_of_code(side)}, inputs of {code}")
    make_inputs(before, inputs, code)
    report, different = [], []
    chosen = [name for name in COMMANDS if options.only is None or name in options.only]
    for name in chosen:
        ended = [ended_command(side, name, inputs) for side in (before, after)]
        findings = [
            Finding(f"failed {side.name} with exit status {end.status}: {side.log(name)}")
            for side, end in zip((before, after), ended, strict=True)
            if end.status > 1
        ]
        findings = findings or compared(outputs(before, name), outputs(after, name))
        told = f"{ended[0].seconds:.0f} and {ended[1].seconds:.0f} s of processor time"
        report += lines_of(name, findings, told)
        different += [name] * differ(findings)
    if options.only is None:
        findings = list(differences(stand_ins(before), stand_ins(after)))
        report += lines_of("stand-ins", findings, "all photographs, videos and scans that were rendered")
        different += ["stand-ins"] * differ(findings)
    report.append(f"different: {', '.join(different)}" if different else "all results are the same")
    print("\n".join(report))
    (work / "report.txt").write_text("\n".join(report) + "\n", encoding="utf-8")
    return int(bool(different))


# ---------------------------------------------------------------------- running


def digest_of_code(side: Side) -> str:
    """A digest of all that a checkout's packages hold."""
    hashed = sha256()
    for file in sorted(file for package in PACKAGES for file in (side.checkout / package).rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            hashed.update(file.relative_to(side.checkout).as_posix().encode() + file.read_bytes())
    return hashed.hexdigest()[:16]


def start(side: Side, code: str) -> None:
    """Empty a side's folder where it holds what other code, or the same code from other inputs, computed."""
    note = side.folder / "code.txt"
    if not note.is_file() or note.read_text() != code:
        shutil.rmtree(side.folder, ignore_errors=True)
        for folder in (side.results, side.folder / "logs", side.home):
            folder.mkdir(parents=True)
        note.write_text(code)


def ended_command(side: Side, name: str, inputs: Path) -> Ended:
    """How a command ended, now or when it ran before; one that failed runs again."""
    line = CHANGED_AFTER.get(name, COMMANDS[name]) if side.name == "after" else COMMANDS[name]
    output, note = side.results / name, side.log(name, ".json")
    cache = side.folder / "cache"
    arguments = shlex.split(line.format(inputs=inputs, results=side.results, output=output, cache=cache))
    kept = json.loads(note.read_text()) if note.is_file() else {}
    if kept.get("arguments") == arguments and kept["status"] <= 1:
        return Ended(kept["status"], kept["seconds"])
    print(f"{side.name}: {name}", file=sys.stderr, flush=True)
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir()
    program = [] if arguments[0] == "-m" else [str(side.checkout / arguments[0])]
    started = processor_time()
    status = side.run([*program, *arguments[len(program) :]], side.log(name))
    ended = Ended(status, processor_time() - started)
    note.write_text(json.dumps({"arguments": arguments} | ended._asdict()))
    return ended


def processor_time() -> float:
    """Seconds of processor time that all ended processes have taken so far."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def make_inputs(before: Side, inputs: Path, code: str) -> None:
    """Let BEFORE make what both sides read, unless it has.

    Raises:
        RuntimeError: if one of its commands fails.
    """
    note = inputs / "code.txt"
    if note.is_file() and note.read_text() == code:
        return
    shutil.rmtree(inputs, ignore_errors=True)
    inputs.mkdir(parents=True)
    shutil.copy(before.checkout / "benchmarks" / "checkpoints" / "suite.ckpt", inputs)
    drawing = Path(__file__).with_name("same_results_inputs.py")
    failed = before.run([str(drawing), str(inputs)], before.log("inputs"))
    # The first command renders the photographs.
    if failed or ended_command(before, "clustering", inputs).status > 1:
        raise RuntimeError(f"the inputs could not be made; {before.folder / 'logs'} says why")
    write_lfw(sorted((before.folder / "cache").rglob("stand-in/*/*.jpg")), inputs)
    note.write_text(code)


def write_lfw(photographs: Sequence[Path], inputs: Path) -> None:
    """Copy stand-in photographs, two of each person in turn, into LFW's layout and into a plain folder."""
    names = [f"Person_{person:02d}" for person in range(PEOPLE)]
    for number, file in enumerate(photographs[: 2 * PEOPLE]):
        name = names[number // 2]
        place = inputs / "lfw" / "lfw" / name / f"{name}_{number % 2 + 1:04d}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
    plain = inputs / "photographs"
    plain.mkdir()
    for file in photographs[2 * PEOPLE : 4 * PEOPLE]:
        shutil.copy(file, plain)
    (plain / "text.jpg").write_text("not a photograph")
    pairs = [f"{FOLDS}\t{PEOPLE // FOLDS}"]
    for fold in range(FOLDS):
        people = names[fold::FOLDS]
        pairs += [f"{name}\t1\t2" for name in people]
        pairs += [f"{name}\t1\t{other}\t2" for name, other in zip(people, np.roll(people, 1), strict=True)]
    (inputs / "lfw" / "pairs.txt").write_text("\n".join(pairs) + "\n")
    development = [str(DEVELOPMENT), *(f"{name}\t2" for name in names[:DEVELOPMENT])]
    (inputs / "lfw" / "peopleDevTrain.txt").write_text("\n".join(development) + "\n")
    labels = [f"{name},{'ab'[number % 2]},{20 + 4 * number}" for number, name in enumerate(names)]
    (inputs / "labels.csv").write_text("\n".join(["name,half,age", *labels]) + "\n")


# ---------------------------------------------------------------------- comparing


def outputs(side: Side, name: str) -> dict[str, Path]:
    """The files of a command that are compared, by their place; the open model's lies in the user's cache."""
    if name == "open-model":
        return {file.name: file for file in side.home.rglob("*.h5")}
    folder = side.results / name
    files = (file for file in folder.rglob("*") if file.name not in IGNORED_FILES)
    return {file.relative_to(folder).as_posix(): file for file in files if file.suffix in READERS}


def compared(before: dict[str, Path], after: dict[str, Path]) -> list[Finding]:
    """What differs between the outputs of a command."""
    before = {renamed(name): file for name, file in before.items()}
    findings = [] if before else [Finding("nothing was written that can be compared")]
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            findings.append(Finding(f"{name}: only before"))
        elif name not in before:
            findings.append(Finding(f"{name}: only after", is_note=True))
        else:
            read = READERS[after[name].suffix]
            # Figures lie beside a PDF.
            is_note = after[name].with_suffix(".pdf").is_file() or "logs/" in name
            for finding in differences(read(before[name]), read(after[name]), renamed):
                findings.append(Finding(f"{name}: {finding.sentence}", is_note or finding.is_note))
    return findings


def renamed(text: str) -> str:
    """A text of BEFORE as AFTER has it."""
    for old, new in RENAMED.items():
        text = text.replace(old, new)
    return text


def stand_ins(side: Side) -> Values:
    """The digests of all photographs, videos and scans in a side's cache, whatever their names."""
    found = {}
    for kind in ("jpg", "avi", "ply"):
        files = (side.folder / "cache").rglob(f"*.{kind}")
        found[kind] = np.array(sorted(sha256(file.read_bytes()).hexdigest() for file in files), str)
    return found


def differ(findings: Iterable[Finding]) -> bool:
    """Whether there is more than notes."""
    return any(not finding.is_note for finding in findings)


def lines_of(name: str, findings: Sequence[Finding], told: str) -> list[str]:
    """A line for a command, and one for each finding, differences first."""
    ordered = sorted(findings, key=lambda finding: finding.is_note)
    lines = [f"  {'note: ' if finding.is_note else ''}{finding.sentence}" for finding in ordered]
    return [f"{name}: {'DIFFERENT' if differ(findings) else 'equal'} ({told})", *lines]


if __name__ == "__main__":
    sys.exit(main())
