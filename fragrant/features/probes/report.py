"""The results of probes in words."""

from collections.abc import Sequence


def trial_lines(results: Sequence[dict]) -> list[str]:
    """What the cross-validation of each probe found, in lines of text: of every trial the recognised videos."""
    lines = []
    for result in results:
        found = result["cross_validation"]
        if not found["folds"]:
            continue
        trials = zip(found["trials"], found["correct"], found["losses"], strict=True)
        told = ", ".join(
            f"lr {trial['lr']:g} decay {trial['weight_decay']:g}: {right} (loss {loss:.3f})"
            for trial, right, loss in trials
        )
        lines.append(f"{result['classifier']} seed {result['seed']}, of {found['counted']} training videos: {told}")
    return lines
