"""An experiment as jobs of SLURM: an array with a task for each run, in a search one for the tests, a step that pools.

All scripts are written to OUTPUT_DIR/slurm; submit.sh hands them to sbatch, each after the one before it.
"""

import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from fragrant.errors import RunStopped
from fragrant.experiments.build import Goal
from fragrant.experiments.plan import Plan, Run
from fragrant.experiments.results import read_result
from fragrant.files import save_file

# As tools/slurm/sweep.sbatch has it; options of sbatch win.
RUN_HEADER = """#SBATCH --nodes=1                # of each run
#SBATCH --ntasks-per-node=1      # processes of each run: as many as GPUs
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=08:00:00
#SBATCH --signal=USR1@180        # seconds before the end: finish the step, save
#SBATCH --requeue                # the job may be put back into the queue ...
#SBATCH --open-mode=append       # ... and continues its log
"""
STEP_HEADER = """#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --time=00:30:00
#SBATCH --open-mode=append
"""
ARRAY = """#!/usr/bin/env bash
# One task for each line of {lines}: the words of tools/run_net.py.
#SBATCH --job-name={name}
{header}#SBATCH --output={out}/slurm/{name}-%a.log
set -euo pipefail
REQUEUE=${{REQUEUE:-True}}
PYTHON=${{PYTHON:-python}}
cd {start}

line=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" {lines})
[[ -n $line ]] || {{ echo "no run $SLURM_ARRAY_TASK_ID in {lines}" >&2; exit 2; }}
eval "words=($line)" # quoted by the command that wrote it
exec srun --kill-on-bad-exit=1 "$PYTHON" {tools}/run_net.py "${{words[@]}}" TRAIN.REQUEUE "$REQUEUE"
"""
STEP = """#!/usr/bin/env bash
# {what}
#SBATCH --job-name={name}
{header}#SBATCH --output={out}/slurm/{name}.log
set -euo pipefail
PYTHON=${{PYTHON:-python}}
cd {start}

exec "$PYTHON" {tools}/repeat.py {words}
"""


def tasks(runs: Sequence[int]) -> str:
    """The numbers of an array, ``"0-2,5"``."""
    parts: list[list[int]] = []
    for number in runs:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ",".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


def lines_of(runs: Sequence[Run], *, train: bool, test: bool) -> str:
    """A line for each run: the words of run_net, quoted for the shell."""
    return "".join(f"{shlex.join(run.stage(train=train, test=test).words[1:])}\n" for run in runs)


def write_jobs(plan: Plan, goals: Sequence[Goal], *, tools: Path, again: Sequence[str], options: Sequence[str]) -> Path:
    """Writes the scripts of what is not finished yet; the path of submit.sh.

    Args:
        tools: where the tools are. The jobs begin in the folder of this process, whose relative paths stay right.
        again: the words of this command, for the step that collects.
        options: of sbatch, for the runs.
    """
    out, here = plan.out.resolve(), plan.out / "slurm"
    tests = goals[0].tests
    left = [n for n, run in enumerate(plan.runs) if not _is_done(plan, run, goals[run.setting], tests=tests)]
    folders = {"out": out, "start": Path.cwd(), "tools": tools.resolve()}
    places = {name: shlex.quote(str(folder)) for name, folder in folders.items()}
    lines = shlex.quote(str(out / "slurm" / "runs.txt"))
    save_file(here / "runs.txt", lines_of(plan.runs, train=True, test=tests and not plan.searched))
    save_file(here / "runs.sbatch", ARRAY.format(name="runs", lines=lines, header=RUN_HEADER, **places))
    words = shlex.join(again)
    whole = "Puts the results of all runs together, and chooses the setting."
    save_file(
        here / "collect.sbatch", STEP.format(what=whole, name="collect", header=STEP_HEADER, words=words, **places)
    )
    steps = [("runs", tasks(left), "")] if left else []
    steps.append(("collect", "", "afterany" if left else ""))
    if plan.searched and tests:  # whose lines the step before writes
        lines = shlex.quote(str(out / "slurm" / "tests.txt"))
        save_file(here / "tests.sbatch", ARRAY.format(name="tests", lines=lines, header=RUN_HEADER, **places))
        steps += [("tests", tasks(range(len(plan.of_setting(0)))), "afterok"), ("collect", "", "afterany")]
    save_file(here / "submit.sh", _submit(steps, out, options))
    return here / "submit.sh"


def _is_done(plan: Plan, run: Run, goal: Goal, *, tests: bool) -> bool:
    result = read_result(plan.out, run, goal)
    return bool(result.failed) or result.trained and (plan.searched or not tests or result.scores is not None)


def _submit(steps: Sequence[tuple[str, str, str]], out: Path, options: Sequence[str]) -> str:
    """The script that hands the jobs over: (name of the script, its array, how it depends on the one before)."""
    lines = [
        "#!/usr/bin/env bash",
        "# Hands the jobs of this experiment to SLURM; each waits for the one before it. Submit it again to go on.",
        "set -euo pipefail",
        f"cd {shlex.quote(str(out / 'slurm'))}",
        f"options=({shlex.join(options)})  # of sbatch, for the runs",
    ]
    before = ""
    for number, (name, array, depends) in enumerate(steps):
        words = ["sbatch", "--parsable", *([f"--array={array}"] if array else [])]
        words += [f'--dependency={depends}:"${before}"', "--kill-on-invalid-dep=yes"] if depends else []
        words += ['"${options[@]}"'] if array else []
        before = f"job{number}"
        lines.append(f"{before}=$({' '.join(words)} {name}.sbatch)")
        lines.append(f'echo "{name}: job ${before}"')
    return "\n".join(lines) + "\n"


def write_tests(plan: Plan, chosen: int) -> None:
    """The lines of the tests of the chosen setting, which the array behind the choice reads."""
    save_file(plan.out / "slurm" / "tests.txt", lines_of(plan.of_setting(chosen), train=False, test=True))


def submit(script: Path) -> list[str]:
    """Runs submit.sh; what it says.

    Raises:
        RunStopped: sbatch is not there, or refuses.
    """
    done = subprocess.run(["bash", str(script)], capture_output=True, text=True, env=None)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise RunStopped(f"the jobs could not be submitted: {why} ({script}; {sys.executable})")
    return done.stdout.splitlines()
