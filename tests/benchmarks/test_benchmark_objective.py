"""tools/benchmark.py objective: a row for every objective and every part of SV-Mix."""

from tiny import TINY, run_here


def test_rows():
    done = run_here(*TINY, tool="benchmark", arguments=("objective", "--rounds", "1", "--batch-size", "2"))
    assert done.returncode == 0, done.stderr
    rows = [line.split("  ")[0] for line in done.stdout.splitlines()]
    wanted = ["plain", "mixup", "svmix", "student, forward and backward", "teacher's feature map", "moving average"]
    assert all(row in rows for row in wanted), done.stdout
    assert "1.00x" in done.stdout
