"""FRAGRANT: UniFormer with the frequency-auxiliary module (FAM) and the relational attention module (RAM) between its
stages.

The published file holds both modules, but calls neither; its figure shows FAM after stage 2 and RAM after stage 3, its
commented-out calls show others. So the places are arguments, and the figure is the default.
"""

from collections.abc import Sequence

from fvcore.common.config import CfgNode

from fragrant.layers.fam import FAM
from fragrant.layers.ram import RAM
from fragrant.models.backbone import ModelError
from fragrant.models.build import MODELS
from fragrant.models.insertions import Insertion
from fragrant.models.uniformer import PLACES, UniFormer, per_stage, uniformer_arguments

FIGURE_RAM = dict(heads=8, key_dim=0, kernel_type="VplusR", feature_type="VplusR")


def check_places(name: str, places: Sequence[str]) -> None:
    wrong = [place for place in places if place not in PLACES] or [
        place for place in places if list(places).count(place) > 1
    ]
    if wrong:
        raise ModelError(f"{name} {list(places)}: '{wrong[0]}' must be one of {', '.join(PLACES)}, each at most once")


def build_ram(place: str, width: int, *, residual: bool, ram: dict) -> RAM:
    module = RAM(width, width, **ram)
    if module.out_channels != width:
        raise ModelError(
            f"RAM at {place}: {module.out_channels} channels come out of {width}; heads ({module.dims.heads}) "
            f"must divide {width}"
        )
    if residual and max(ram.get("stride", (1,))) > 1:
        raise ModelError(
            f"RAM at {place}: stride {list(ram['stride'])} halves the map, so that nothing can be added to it; "
            "set residual off"
        )
    return module


def arrange(
    widths: Sequence[int],
    *,
    fam_at: Sequence[str],
    ram_at: Sequence[str],
    first: Sequence[str],
    residual: bool,
    amplitude_exponent: int,
    ram: dict,
) -> list[Insertion]:
    """Arranges FAM and RAM as insertions, in the order in which a clip meets them; arguments as of
    :class:`Fragrant`."""
    check_places("fam_at", fam_at)
    check_places("ram_at", ram_at)
    if len(first) not in (1, len(fam_at)) or any(word not in ("fam", "ram") for word in first):
        raise ModelError(
            f"first must be fam or ram, once or once for each place of fam_at ({len(fam_at)}); got {list(first)}"
        )
    first_at = dict(zip(fam_at, first if len(first) == len(fam_at) else list(first) * len(fam_at), strict=True))
    fam = FAM(amplitude_exponent=amplitude_exponent)
    chain, names = [], set()
    for place in PLACES:
        here = [Insertion(place, "disentangle", fam, residual)] if place in fam_at else []
        if place in ram_at:
            stage = int(place[-1])
            name = f"rsa_attn{stage}" if f"rsa_attn{stage}" not in names else f"rsa_attn{stage}_after"
            names.add(name)
            module = build_ram(place, widths[stage - 1], residual=residual, ram=ram)
            here.insert(0 if first_at.get(place) == "ram" else 1, Insertion(place, name, module, residual))
        chain += here
    return chain


class Fragrant(UniFormer):
    """UniFormer, whose arguments it takes too, with FAM and RAM at places of choice.

    A place is ``embed1`` .. ``embed4`` (right after the patch embedding of that stage) or ``stage1`` .. ``stage4``
    (after its
    blocks). The parameters of RAM have the published names, ``rsa_attn1`` .. ``rsa_attn4`` by stage; a second RAM in a
    stage is ``rsa_attn3_after``. FAM has no parameters. Published checkpoints of UniFormer fit; RAM is then reported as
    missing.

    Args:
        fam_at, ram_at: the places; empty for none.
        first: which of the two comes first where both stand at one place, ``fam`` or ``ram``: one for all places of
            fam_at, or
            one for each.
        residual: x + module(x) instead of module(x).
        amplitude_exponent: exponent of FAM's amplitude: 1 as in the published code, 2 as in the published figure.
        ram: the settings of every RAM, arguments of :class:`RAM` beside its widths.

    Raises:
        ModelError, RamError: arguments that do not fit together.
    """

    def __init__(
        self,
        *,
        fam_at: Sequence[str] = ("stage2",),
        ram_at: Sequence[str] = ("stage3",),
        first: Sequence[str] = ("fam",),
        residual: bool = True,
        amplitude_exponent: int = 1,
        ram: dict | None = None,
        embed_dim: Sequence[int] = (64, 128, 320, 512),
        **uniformer,
    ):
        widths = per_stage("embed_dim", embed_dim)
        ram = FIGURE_RAM if ram is None else ram
        insertions = arrange(
            widths,
            fam_at=fam_at,
            ram_at=ram_at,
            first=first,
            residual=residual,
            amplitude_exponent=amplitude_exponent,
            ram=ram,
        )
        super().__init__(embed_dim=widths, insertions=insertions, **uniformer)


@MODELS.register("Fragrant")
def fragrant(cfg: CfgNode) -> Fragrant:
    ram = cfg.FRAGRANT.RAM
    return Fragrant(
        fam_at=cfg.FRAGRANT.FAM_AT,
        ram_at=cfg.FRAGRANT.RAM_AT,
        first=cfg.FRAGRANT.ORDER,
        residual=cfg.FRAGRANT.RESIDUAL,
        amplitude_exponent=cfg.FRAGRANT.FAM_EXPONENT,
        ram=dict(
            heads=ram.HEADS,
            key_dim=ram.KEY_DIM,
            value_dim=ram.VALUE_DIM,
            latent_dim=ram.LATENT_DIM,
            kernel_size=ram.KERNEL_SIZE,
            stride=ram.STRIDE,
            kernel_type=ram.KERNEL_TYPE,
            feature_type=ram.FEATURE_TYPE,
            impl=cfg.FRAGRANT.RAM_IMPL,
        ),
        **uniformer_arguments(cfg),
    )
