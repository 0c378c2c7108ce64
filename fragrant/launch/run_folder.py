"""Choice of the folder of a run whose OUTPUT_DIR has fields: a new one, or that of the run that goes on."""

import json
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fragrant.config.run_folder import FIELD, RunFolder, filled, folders_of, highest_number, moment
from fragrant.errors import UserError
from fragrant.files import read_plain, write_whole

RECORD = ".job.json"  # in the folder of a run: which job of a cluster it belongs to


class Claim(NamedTuple):
    """A job that its launcher may start again, with the same words: it then goes on with its run."""

    job: str
    words: list[str]
    attempt: list[int]  # how often SLURM, and torchrun, have started it again

    def owns(self, folder: Path) -> bool:
        """Did an earlier attempt of this job make the folder?"""
        try:
            found = json.loads(read_plain(folder / RECORD))
            same = (found["job"], found["words"]) == (self.job, self.words)
            return same and [int(number) for number in found["attempt"]] < self.attempt
        except (OSError, ValueError, KeyError, TypeError):
            return False


def claim_of(environ: Mapping[str, str], words: Sequence[str]) -> Claim | None:
    """The job that this process belongs to; None where nobody starts it again."""
    elastic = environ.get("TORCHELASTIC_RUN_ID")
    if job := environ.get("SLURM_JOB_ID"):
        name = f"slurm {environ.get('SLURM_CLUSTER_NAME', '')} {job}"
    elif elastic and elastic != "none":
        name = f"torchrun {elastic}"
    elif elastic:  # torchrun's word for no name: its agent is one
        name = f"torchrun {socket.gethostname()} {os.getppid()}"
    else:
        return None
    counts = [environ.get(name, "") for name in ("SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT")]
    return Claim(name, list(words), [int(count) if count.isdecimal() else 0 for count in counts])


def choose_folder(template: str, words: Sequence[str], *, resume: bool = False) -> RunFolder:
    """The folder of a run; one process of it asks, and all others are told.

    A new one, unless ``resume`` asks for the newest that the template has made, or this is a job that was queued or
    started again: then that of its run.

    Args:
        template: OUTPUT_DIR with {date}, {time} or {n}.
        words: of the command line.

    Raises:
        UserError: the folder cannot be made, or there is nothing to resume.
    """
    claim, found = claim_of(os.environ, words), [path for _, path in folders_of(template)]
    own = [path for path in found if claim and claim.owns(path)]
    if own:
        path, why = own[-1], "of this job, which was started again"
    elif resume and found:
        path, why = found[-1], f"the newest of {template}"
    elif resume:
        raise UserError(f"--resume: OUTPUT_DIR '{template}' has made no folder yet; without --resume a run begins")
    else:
        path, why = _new_folder(template), f"a new run of {template}"
    if claim:
        _remember(claim, path)
    again = f"OUTPUT_DIR {template} would begin a new run: add --resume to go on with the newest, or give OUTPUT_DIR "
    return RunFolder(str(path), f"OUTPUT_DIR {path}: {why}", again + str(path))


def _new_folder(template: str) -> Path:
    """Made, and nobody else's, where {n} tells runs apart."""
    dated = filled(template, moment())
    number = highest_number(dated) + 1
    try:
        while FIELD.search(dated):
            path = Path(filled(dated, {"n": str(number)}))
            depth = next(at for at, part in enumerate(Path(dated).parts, 1) if FIELD.search(part))
            first = Path(*path.parts[:depth])  # of one number, so it is taken as a whole
            first.parent.mkdir(parents=True, exist_ok=True)
            try:
                first.mkdir()
            except FileExistsError:  # another run was quicker
                number += 1
                continue
            path.mkdir(parents=True, exist_ok=True)
            return path
        path = Path(dated)
        path.mkdir(parents=True, exist_ok=True)
        return path
    except OSError as error:
        raise UserError(f"OUTPUT_DIR '{template}' cannot be written: {error.strerror or error}") from error


def _remember(claim: Claim, folder: Path) -> None:
    try:
        write_whole(folder / RECORD, json.dumps(claim._asdict()))
    except OSError as error:
        raise UserError(f"OUTPUT_DIR '{folder}' cannot be written: {error.strerror or error}") from error
