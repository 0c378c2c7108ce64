"""Published keys that are not in the tree: which are ignored, which work at their default only, which are not
supported.

A key that gets a reader moves from here to defaults.py; nothing else has to change.
"""

from typing import NamedTuple

# Accepted whatever the value, with one line that names the key: nothing reads it, here or in the published code for
# these models.
IGNORED = {
    "AUG.COLOR_JITTER": "video data sets never read it",
    "AUG.RE_SPLIT": "nothing ever read it",
    "BENCHMARK": "tools/benchmark.py has its own options",
    "BN.NUM_SPLITS": "of the ResNet family",
    "BN.NUM_SYNC_DEVICES": "of the ResNet family",
    "DATA.MC": "of a file system of its authors",
    "DATA.PATH_TO_PRELOAD_IMDB": "of the image data sets",
    "DATA.TRAIN_PCA_EIGVAL": "of the image data sets",
    "DATA.TRAIN_PCA_EIGVEC": "of the image data sets",
    "MODEL.DROPCONNECT_RATE": "of the X3D family",
    "MODEL.EMA_": "not read for UniFormerV2; here TRAIN.EMA",
    "MODEL.FC_INIT_STD": "of the ResNet family",
    "SOLVER.GAMMA": "of multigrid training",
    "SOLVER.SPECIAL_RATIO": "read by an optimiser of UniFormerV2 that nothing builds",
    "SOLVER.STEP_SIZE": "nothing ever read it",
    "SOLVER.WARMUP_FACTOR": "nothing ever read it",
    "TRAIN.SAVE_LATEST": "TRAIN.CHECKPOINT_PERIOD 1 saves every epoch",
    "UNIFORMER.INIT_VALUE": "of the Uniformer_light_ls models",
    "UNIFORMER.PRUNE_RATIO": "of the Uniformer_light models",
    "UNIFORMER.STAGE_TYPE": "nothing ever read it",
    "UNIFORMER.TRADE_OFF": "of the Uniformer_light models",
    "UNIFORMERV2.DELETE_SPECIAL_HEAD": "a classifier for other classes is always left out, and the log says so",
}


class OnlyDefault(NamedTuple):
    default: object
    otherwise: str  # why no other value is possible


_CHECKPOINT_TYPE = OnlyDefault(
    "pytorch", "only PyTorch and safetensors files are read: a Caffe2 pickle could run code; convert it first"
)
_ONE_RATE = (
    "in the published code an optimiser reads it that nothing builds, so that every published run has one learning "
    "rate; SOLVER.LAYER_DECAY gives the lower layers smaller ones"
)

# Accepted silently at the published default, an error otherwise.
ONLY_DEFAULT = {
    "SOLVER.BACKBONE_LR_RATIO": OnlyDefault(0.1, _ONE_RATE),
    "SOLVER.SPECIAL_LIST": OnlyDefault([], _ONE_RATE),
    "TEST.CHECKPOINT_TYPE": _CHECKPOINT_TYPE,
    "TRAIN.CHECKPOINT_TYPE": _CHECKPOINT_TYPE,
}

# Always an error: families of keys for something that this project leaves out. "SSL_" stands for all keys that begin
# so.
UNSUPPORTED = {
    "AVA": "detection",
    "CONTRASTIVE": "SlowFast's self-supervised training (here: TRAIN.OBJECTIVE and PRETRAIN)",
    "DATA.SSL_": "self-supervised training",
    "DEMO": "the detection demo (keys of the demo set begin with DEMO_SET)",
    "DETECTION": "detection",
    "MASK": "SlowFast's self-supervised training (here: TRAIN.OBJECTIVE and PRETRAIN)",
    "MULTIGRID": "multigrid training",
    "MVIT": "the MViT model",
    "NONLOCAL": "non-local blocks",
    "RESNET": "the SlowFast ResNet family",
    "SLOWFAST": "the two-pathway SlowFast model",
    "SSL_": "self-supervised training",
    "TENSORBOARD.MODEL_VIS": "maps of a network in TensorBoard: tools/visualize.py draws Grad-CAM and attention",
    "TENSORBOARD.PREDICTIONS_PATH": "predictions of another run in TensorBoard: tools/report.py makes the page of any",
    "TENSORBOARD.WRONG_PRED_VIS": "all wrong predictions in TensorBoard: the report shows the most confident mistakes",
    "VIS_MASK": "self-supervised training",
    "X3D": "the X3D model",
}

# Keys of sister projects that have another name here.
INSTEAD = {
    "SOLVER.CLIP_GRAD_L2NORM": "SOLVER.CLIP_GRADIENT",
    "TRAIN.MIXED_PRECISION": "TRAIN.PRECISION",
}

# Published settings that are said otherwise here: (key, value as text) -> what is set instead.
SAID_OTHERWISE = {
    ("MODEL.MODEL_NAME", "Uniformerv2"): (("MODEL.MODEL_NAME", "UniFormerV2"),),
    ("TEST.ADD_SOFTMAX", "True"): (("TEST.ENSEMBLE_SPACE", "softmax"),),
    ("TEST.ADD_SOFTMAX", "False"): (("TEST.ENSEMBLE_SPACE", "logits"),),
    ("TEST.DATASET", "kinetics_sparse"): (("TEST.DATASET", "kinetics_sparse"), ("DATA.SAMPLING", "sparse")),
    ("TRAIN.DATASET", "kinetics_sparse"): (("TRAIN.DATASET", "kinetics_sparse"), ("DATA.SAMPLING", "sparse")),
}


def entry_of(key: str, table: dict) -> str | None:
    """The name in ``table`` that is ``key`` itself or a family that it belongs to."""
    return next(
        (name for name in table if key == name or key.startswith(name if name.endswith("_") else name + ".")), None
    )
