"""Weights that others have published, which the networks here take: what the files are called, where their authors keep
them, how a copy is told from a damaged one."""

import re
from typing import NamedTuple

UNKNOWN = "unknown"


class PublishedFile(NamedTuple):
    """A file of others.

    Attributes:
        name: its own; it stands wherever a checkpoint is named.
        network: the MODEL.MODEL_NAME that takes it, with the keys that must fit.
        layout: who wrote it, so what its tensors are called.
        keeper: where its authors keep it, in words.
        address: from which it can be fetched; "" = not known here.
        sha256: the first digits, or all; "" = told by the name, where that says them.
    """

    name: str
    network: str
    layout: str
    keeper: str
    address: str = ""
    sha256: str = ""

    @property
    def digits(self) -> str:
        """The first digits of its SHA-256, as far as they are known: those of the list, else those in the name, where
        torch.hub and mmaction2 put eight; "" = unknown."""
        in_name = re.search(r"-([0-9a-f]{8})\.\w+$", self.name)
        return self.sha256 or (in_name[1] if in_name else "")


_TORCHVISION = "torchvision"
_MMACTION2 = "open-mmlab/mmaction2, model zoo of CSN"
_IG65M = "moabitcoin/ig65m-pytorch, release v1.0.0"
_UNIFORMER = "Sense-X/UniFormer, model zoo"


def _torchvision(name: str, network: str) -> PublishedFile:
    return PublishedFile(name, network, "torchvision", _TORCHVISION, f"https://download.pytorch.org/models/{name}")


def _ig65m(name: str, classes: int) -> PublishedFile:
    address = f"https://github.com/moabitcoin/ig65m-pytorch/releases/download/v1.0.0/{name}"
    return PublishedFile(name, f"R2Plus1D of 34 layers, {classes} classes", "IG-65M", _IG65M, address)


def _csn(name: str, network: str) -> PublishedFile:
    return PublishedFile(name, network, "mmaction2 backbone", _MMACTION2)


def _uniformer(name: str, network: str) -> PublishedFile:
    return PublishedFile(name, network, "UniFormer", _UNIFORMER)


# Names as the authors write them; what is not known stays empty.
PUBLISHED = (
    _uniformer("uniformer_small_in1k.pth", "Uniformer S, of ImageNet-1K: inflated"),
    _uniformer("uniformer_base_in1k.pth", "Uniformer B, of ImageNet-1K: inflated"),
    _uniformer("uniformer_small_k400_8x8.pth", "Uniformer S, Kinetics-400"),
    _uniformer("uniformer_small_k400_16x4.pth", "Uniformer S, Kinetics-400"),
    _uniformer("uniformer_base_k400_16x4.pth", "Uniformer B, Kinetics-400"),
    _uniformer("uniformer_base_k400_32x4.pth", "Uniformer B, Kinetics-400"),
    PublishedFile(
        "k710_uniformerv2_b16_8x224.pyth",
        "UniFormerV2 B/16, Kinetics-710",
        "UniFormerV2",
        "OpenGVLab/UniFormerV2, MODEL_ZOO.md (k710/)",
    ),
    PublishedFile(
        "swin_base_patch244_window877_kinetics400_22k.pth",
        "VideoSwin B (SWIN.SIZE B), Kinetics-400; DGAM",
        "Video Swin / mmaction2 0.x",
        "SwinTransformer/Video-Swin-Transformer, model zoo",
    ),
    _torchvision("swin3d_t-7615ae03.pth", "VideoSwin T, Kinetics-400"),
    _torchvision("swin3d_s-da41c237.pth", "VideoSwin S, Kinetics-400"),
    _torchvision("swin3d_b_1k-24f7c7c6.pth", "VideoSwin B, Kinetics-400"),
    _torchvision("swin3d_b_22k-7c6ae6fa.pth", "VideoSwin B, ImageNet-22K and Kinetics-400"),
    PublishedFile(
        "DGAM_ELLAR.pth", "DGAM on VideoSwin B, ELLAR", "DGAM of ELLAR", "the repository of ELLAR (ACCV 2024)"
    ),
    _csn("ircsn_from_scratch_r50_ig65m_20210617-ce545a37.pth", "CSN ir, CSN.DEPTH 50, IG-65M"),
    _csn("ircsn_from_scratch_r152_ig65m_20200807-771c4135.pth", "CSN ir, CSN.DEPTH 152, IG-65M"),
    _csn("ipcsn_from_scratch_r152_ig65m_20210617-c4b99d38.pth", "CSN ip, CSN.DEPTH 152, IG-65M"),
    _ig65m("r2plus1d_34_clip8_ig65m_from_scratch-9bae36ae.pth", 359),
    _ig65m("r2plus1d_34_clip32_ig65m_from_scratch-449a7af9.pth", 487),
    _ig65m("r2plus1d_34_clip8_ft_kinetics_from_ig65m-0aa0550b.pth", 400),
    _ig65m("r2plus1d_34_clip32_ft_kinetics_from_ig65m-ade133f1.pth", 400),
    _torchvision("r2plus1d_18-91a641e6.pth", "R2Plus1D, Kinetics-400"),
    _torchvision("s3d-d76dad2f.pth", "S3D, Kinetics-400"),
    _torchvision("mvit_v2_s-ae3be167.pth", "MViTv2, Kinetics-400"),
    _torchvision("resnet50-0676ba61.pth", "MieNet, TSM, H2CN, ImageNet-1K"),
)
BY_NAME = {file.name: file for file in PUBLISHED}


def published_file(path: str) -> PublishedFile | None:
    """The published file that a bare name stands for; None where it is another path."""
    return BY_NAME.get(path)


# ---------------------------------------------------------------------------------------------------------- in the docs
BEGIN, END = "<!-- files: made by python tools/zoo.py docs -->", "<!-- end of the files -->"


def table_of_files() -> str:
    """The list as a table in Markdown."""
    lines = ["| file | network | layout | where its authors keep it | SHA-256 begins with |", "|---|---|---|---|---|"]
    for file in PUBLISHED:
        where = f"[{file.keeper}]({file.address})" if file.address else f"{file.keeper}; address {UNKNOWN}"
        lines.append(f"| `{file.name}` | {file.network} | {file.layout} | {where} | {file.digits or UNKNOWN} |")
    return "\n".join(lines)
