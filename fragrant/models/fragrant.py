"""FRAGRANT: UniFormer, or UniFormerV2, with the frequency-auxiliary module (FAM) and the relational attention module
(RAM) between its stages; further DPTAM of MIE-Net.

The published file holds both modules, but calls neither; its figure shows FAM after stage 2 and RAM after stage 3, its
commented-out calls show others. So the places are arguments, and the figure is the default.
"""

from collections.abc import Iterable, Mapping, Sequence

from fvcore.common.config import CfgNode

from fragrant.layers.dptam import DPTAM
from fragrant.layers.fam import FAM
from fragrant.layers.ram import RAM
from fragrant.models.backbone import ModelError
from fragrant.models.build import MODELS
from fragrant.models.insertions import Insertion
from fragrant.models.uniformer import PLACES, UniFormer, per_stage, uniformer_arguments
from fragrant.models.uniformer_v2 import TRUNKS, Trunk, UniFormerV2, places_of, uniformer_v2_arguments

FIGURE_RAM = dict(heads=8, key_dim=0, kernel_type="VplusR", feature_type="VplusR")


def check_places(name: str, places: Sequence[str], allowed: Iterable[str]) -> None:
    wrong = [place for place in places if place not in allowed] or [
        place for place in places if list(places).count(place) > 1
    ]
    if wrong:
        raise ModelError(f"{name} {list(places)}: '{wrong[0]}' must be one of {', '.join(allowed)}, each at most once")


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
    widths: Mapping[str, int],
    *,
    fam_at: Sequence[str],
    ram_at: Sequence[str],
    dptam_at: Sequence[str],
    first: Sequence[str],
    residual: bool,
    amplitude_exponent: int,
    ram: dict,
) -> list[Insertion]:
    """Arranges FAM, RAM and DPTAM as insertions; arguments as of :class:`Fragrant`.

    Args:
        widths: every place there is, in the order in which a clip meets them, and the channels of a map there.
    """
    for name, places in (("fam_at", fam_at), ("ram_at", ram_at), ("dptam_at", dptam_at)):
        check_places(name, places, widths)
    if len(first) not in (1, len(fam_at)) or any(word not in ("fam", "ram") for word in first):
        raise ModelError(
            f"first must be fam or ram, once or once for each place of fam_at ({len(fam_at)}); got {list(first)}"
        )
    first_at = dict(zip(fam_at, first if len(first) == len(fam_at) else list(first) * len(fam_at), strict=True))
    fam = FAM(amplitude_exponent=amplitude_exponent)
    chain: list[Insertion] = []
    names: set[str] = set()
    for place, width in widths.items():
        here = [Insertion(place, "disentangle", fam, residual)] if place in fam_at else []
        if place in ram_at:
            name = ram_name(place, names)
            module = build_ram(place, width, residual=residual, ram=ram)
            here.insert(0 if first_at.get(place) == "ram" else 1, Insertion(place, name, module, residual))
        if place in dptam_at:
            here.append(Insertion(place, f"dptam_{place}", DPTAM(width), residual))
        chain += here
    return chain


def ram_name(place: str, names: set[str]) -> str:
    """Name of RAM at a place, which is added to ``names``: the published one in UniFormer's stages, ``rsa_attn3``;
    ``rsa_attn_layer9`` behind a layer of UniFormerV2."""
    name = f"rsa_attn_{place}" if place.startswith("layer") else f"rsa_attn{place[-1]}"
    name = f"{name}_after" if name in names else name
    names.add(name)
    return name


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
        dptam_at: the places of DPTAM, the temporal attention of MIE-Net, which comes last where others stand too.
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
        dptam_at: Sequence[str] = (),
        first: Sequence[str] = ("fam",),
        residual: bool = True,
        amplitude_exponent: int = 1,
        ram: dict | None = None,
        embed_dim: Sequence[int] = (64, 128, 320, 512),
        **uniformer,
    ):
        widths = per_stage("embed_dim", embed_dim)
        insertions = arrange(
            {place: widths[int(place[-1]) - 1] for place in PLACES},
            fam_at=fam_at,
            ram_at=ram_at,
            dptam_at=dptam_at,
            first=first,
            residual=residual,
            amplitude_exponent=amplitude_exponent,
            ram=FIGURE_RAM if ram is None else ram,
        )
        super().__init__(embed_dim=widths, insertions=insertions, **uniformer)


class FragrantV2(UniFormerV2):
    """UniFormerV2, whose arguments it takes too, with FAM, RAM and DPTAM between its layers, as FRAGRANT's authors
    propose it.

    A place is ``embed1`` (behind the embedding), ``layer1`` .. (behind that layer, counted from 1) or ``stage1`` ..
    ``stage4`` (behind each quarter of the layers). The modules see the maps of the patches; class tokens pass by. FAM
    and RAM stand behind the second and the third quarter unless they are given other places. Files of CLIP and
    UniFormerV2 fit.

    Args: as of :class:`Fragrant`.

    Raises:
        ModelError, RamError: arguments that do not fit together.
    """

    def __init__(
        self,
        *,
        fam_at: Sequence[str] = ("stage2",),
        ram_at: Sequence[str] = ("stage3",),
        dptam_at: Sequence[str] = (),
        first: Sequence[str] = ("fam",),
        residual: bool = True,
        amplitude_exponent: int = 1,
        ram: dict | None = None,
        trunk: Trunk = TRUNKS["uniformerv2_b16"],
        **uniformer_v2,
    ):
        insertions = arrange(
            dict.fromkeys(places_of(trunk.layers), trunk.width),
            fam_at=fam_at,
            ram_at=ram_at,
            dptam_at=dptam_at,
            first=first,
            residual=residual,
            amplitude_exponent=amplitude_exponent,
            ram=FIGURE_RAM if ram is None else ram,
        )
        super().__init__(trunk=trunk, insertions=insertions, **uniformer_v2)


def fragrant_arguments(cfg: CfgNode) -> dict:
    """The arguments of FRAGRANT's modules from the config."""
    keys, ram = cfg.FRAGRANT, cfg.FRAGRANT.RAM
    return dict(
        fam_at=keys.FAM_AT,
        ram_at=keys.RAM_AT,
        dptam_at=keys.DPTAM_AT,
        first=keys.ORDER,
        residual=keys.RESIDUAL,
        amplitude_exponent=keys.FAM_EXPONENT,
        ram=dict(
            heads=ram.HEADS,
            key_dim=ram.KEY_DIM,
            value_dim=ram.VALUE_DIM,
            latent_dim=ram.LATENT_DIM,
            kernel_size=ram.KERNEL_SIZE,
            stride=ram.STRIDE,
            kernel_type=ram.KERNEL_TYPE,
            feature_type=ram.FEATURE_TYPE,
            impl=keys.RAM_IMPL,
        ),
    )


@MODELS.register("Fragrant")
def fragrant(cfg: CfgNode) -> Fragrant:
    return Fragrant(**fragrant_arguments(cfg), **uniformer_arguments(cfg))


@MODELS.register("FragrantV2")
def fragrant_v2(cfg: CfgNode) -> FragrantV2:
    return FragrantV2(**fragrant_arguments(cfg), **uniformer_v2_arguments(cfg))
