"""Installs the package; what it needs stands in requirements.txt."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent


def requirements() -> list[str]:
    lines = (line.split("#")[0].strip() for line in (HERE / "requirements.txt").read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


setup(
    name="fragrant",
    version="0.1.0",
    description="Recognising human actions in low-light video",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    python_requires=">=3.10",
    packages=find_packages(include=["fragrant", "fragrant.*"]),
    install_requires=requirements(),
    extras_require={"torchcodec": ["torchcodec>=0.4"], "decord": ["decord>=0.6"], "test": ["pytest>=8", "ruff>=0.6"]},
)
