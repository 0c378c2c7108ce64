"""Every key there is, its default, what it means: the schema is the documentation.

Names, meanings and defaults are those of the SlowFast family of frameworks, so that the published yaml files of UniFormer and
FRAGRANT load as they are. A key stands here only if something reads it; what happens to the other published keys says published.py.
"""

from typing import NamedTuple

from fvcore.common.config import CfgNode

_C = CfgNode()

# ---------------------------------------------------------------------------------------------------------------- the run
_C.OUTPUT_DIR = "./tmp"  # folder for checkpoints, logs, scores and the effective config
_C.NUM_GPUS = 1  # GPUs of this machine, one process each; 0 = the CPU
_C.NUM_SHARDS = 1  # machines that train together
_C.SHARD_ID = 0  # number of this machine, from 0
_C.DIST_BACKEND = "nccl"  # how GPU processes talk: nccl | gloo (CPU processes always use gloo)
_C.RNG_SEED = 1  # every random draw follows from it
_C.LOG_PERIOD = 10  # steps between two log records
_C.LOG_MODEL_INFO = True  # parameters, GFLOPs and activations of the model at the start

# ------------------------------------------------------------------------------------------------------------------ model
_C.MODEL = CfgNode()
_C.MODEL.MODEL_NAME = "SlowFast"  # name of the model in the registry; the published default, not built here: every yaml names its own
_C.MODEL.ARCH = "slowfast"  # family name that published files carry; the model itself decides everything here
_C.MODEL.NUM_CLASSES = 400  # classes; labels are 0 .. NUM_CLASSES - 1
_C.MODEL.LOSS_FUNC = "cross_entropy"  # cross_entropy | soft_cross_entropy (targets may be distributions: mixup needs it)
_C.MODEL.DROPOUT_RATE = 0.5  # dropout before the classifier; UniFormer has its own key and ignores this one
_C.MODEL.HEAD_ACT = "softmax"  # published: activation in eval mode; models here return logits, see TEST.ENSEMBLE_SPACE
_C.MODEL.SINGLE_PATHWAY_ARCH = ["2d", "c2d", "i3d", "slow", "x3d", "mvit", "uniformer"]  # published, decides nothing here
_C.MODEL.MULTI_PATHWAY_ARCH = ["slowfast"]  # published, decides nothing here
_C.MODEL.FROZEN_BN = False  # BatchNorm keeps the statistics it starts with, in training too; its weight and bias are trained
_C.MODEL.USE_CHECKPOINT = False  # activation checkpointing: less memory, one more forward pass
_C.MODEL.CHECKPOINT_NUM = [0, 0, 0, 0]  # how many blocks of each stage are recomputed

_C.UNIFORMER = CfgNode()
_C.UNIFORMER.EMBED_DIM = [64, 128, 320, 512]  # width of each stage
_C.UNIFORMER.DEPTH = [3, 4, 8, 3]  # blocks of each stage; small 3 4 8 3, base 5 8 20 7
_C.UNIFORMER.HEAD_DIM = 64  # width of one attention head
_C.UNIFORMER.MLP_RATIO = 4  # hidden width of a block's MLP / its width
_C.UNIFORMER.QKV_BIAS = True  # bias in the query, key and value projection
_C.UNIFORMER.QKV_SCALE = None  # attention scale; None = HEAD_DIM ** -0.5
_C.UNIFORMER.REPRESENTATION_SIZE = None  # a further layer before the classifier: the published code fails with it, only None works
_C.UNIFORMER.DROPOUT_RATE = 0  # dropout after the patch embedding, in MLPs and projections
_C.UNIFORMER.ATTENTION_DROPOUT_RATE = 0  # dropout of attention weights
_C.UNIFORMER.DROP_DEPTH_RATE = 0.1  # drop path of the last block, growing linearly from 0 at the first
_C.UNIFORMER.PRETRAIN_NAME = None  # checkpoint file to start training from (image weights are inflated); None = random
_C.UNIFORMER.SPLIT = False  # attention over time, then space, instead of over both at once
_C.UNIFORMER.STD = False  # patch embeddings of stages 2-4 look at 3 frames instead of 1

# ------------------------------------------------------------------------------------------------------------------- data
_C.DATA = CfgNode()
_C.DATA.PATH_TO_DATA_DIR = ""  # folder of the list files; for the demo set: where it is made
_C.DATA.TRAIN_LIST = ""  # list file of the training videos, relative to PATH_TO_DATA_DIR; "" = train.csv
_C.DATA.VAL_LIST = ""  # list file of the validation videos; "" = val.csv
_C.DATA.TEST_LIST = ""  # list file of the test videos; "" = test.csv
_C.DATA.CLASSES_FILE = ""  # one class name per line; "" = classes.txt beside the lists, if there
_C.DATA.PATH_LABEL_SEPARATOR = " "  # between path and label in a list line
_C.DATA.PATH_PREFIX = ""  # folder put in front of every path of the lists
_C.DATA.NUM_FRAMES = 8  # frames of a clip
_C.DATA.SAMPLING_RATE = 8  # step between two frames of a dense clip; the clip spans NUM_FRAMES * SAMPLING_RATE frames
_C.DATA.SAMPLING = "dense"  # dense: a clip of neighbouring frames | sparse: frames spread over the whole video
_C.DATA.USE_OFFSET_SAMPLING = False  # test clips from the first to the last possible start; False: the published slack * k / views
_C.DATA.FPS_CONVERT = False  # True: a clip spans NUM_FRAMES * SAMPLING_RATE / TARGET_FPS seconds, whatever the video's rate
_C.DATA.TARGET_FPS = 30  # frames per second that SAMPLING_RATE counts in; read with FPS_CONVERT only
_C.DATA.DECODING_BACKEND = "pyav"  # pyav | decord | torchvision: all are read with PyAV, the same frames by index
_C.DATA.CLIP_DTYPE = "uint8"  # uint8 | float32: float32 keeps the unrounded pixels of a resize, as published; four times the bytes
_C.DATA.MEAN = [0.45, 0.45, 0.45]  # per channel, of pixels in 0..1, RGB; dark video: about 0.07
_C.DATA.STD = [0.225, 0.225, 0.225]  # per channel, of pixels in 0..1, RGB; dark video: about 0.09
_C.DATA.INPUT_CHANNEL_NUM = [3, 3]  # channels of a clip, one number per pathway; only the first counts here
_C.DATA.REVERSE_INPUT_CHANNEL = False  # hand BGR to the model
_C.DATA.TRAIN_CROP_SIZE = 224  # side of a training crop
_C.DATA.TEST_CROP_SIZE = 256  # side of a validation or test crop
_C.DATA.TRAIN_JITTER_SCALES = [256, 320]  # range of the short side before the random crop
_C.DATA.INV_UNIFORM_SAMPLE = False  # draw 1 / short side uniformly instead of the short side
_C.DATA.TRAIN_JITTER_SCALES_RELATIVE = []  # area range of a random resized crop, [0.08, 1.0]; [] = short-side jitter + crop
_C.DATA.TRAIN_JITTER_ASPECT_RELATIVE = []  # width / height range of a random resized crop, [0.75, 1.3333]
_C.DATA.RANDOM_FLIP = True  # mirror half of the training clips; False where left and right matter
_C.DATA.ENSEMBLE_METHOD = "sum"  # scores of a video from those of its views: sum | mean | max

_C.DATA_LOADER = CfgNode()
_C.DATA_LOADER.NUM_WORKERS = 8  # reading processes per GPU process; 0 = read in the main process
_C.DATA_LOADER.PIN_MEMORY = True  # page-locked batches: faster to the GPU
_C.DATA_LOADER.ENABLE_MULTI_THREAD_DECODE = False  # let FFmpeg use threads; workers are the better parallelism

_C.DEMO_SET = CfgNode()
_C.DEMO_SET.SEED = 0  # the demo set follows from it
_C.DEMO_SET.VIDEOS_PER_CLASS = 40  # training videos per class
_C.DEMO_SET.TEST_VIDEOS_PER_CLASS = 15  # test videos per class
_C.DEMO_SET.NUM_FRAMES = 48  # frames of a video
_C.DEMO_SET.HEIGHT = 96  # of a frame, pixels
_C.DEMO_SET.WIDTH = 128  # of a frame, pixels

_C.AUG = CfgNode()
_C.AUG.ENABLE = False  # RandAugment and random erasing of training clips
_C.AUG.NUM_SAMPLE = 1  # differently augmented copies of a decoded clip; a step then sees BATCH_SIZE * NUM_SAMPLE clips
_C.AUG.AA_TYPE = "rand-m9-mstd0.5-inc1"  # RandAugment in timm's notation
_C.AUG.INTERPOLATION = "bicubic"  # of RandAugment's geometric operations
_C.AUG.RE_PROB = 0.25  # probability of random erasing
_C.AUG.RE_MODE = "pixel"  # what fills an erased box
_C.AUG.RE_COUNT = 1  # erased boxes per clip

_C.MIXUP = CfgNode()
_C.MIXUP.ENABLE = False  # mixup, cutmix and label smoothing
_C.MIXUP.ALPHA = 0.8  # Beta(ALPHA, ALPHA) of mixup; 0 = no mixup
_C.MIXUP.CUTMIX_ALPHA = 1.0  # Beta(ALPHA, ALPHA) of cutmix; 0 = no cutmix
_C.MIXUP.PROB = 1.0  # probability that a batch is mixed
_C.MIXUP.SWITCH_PROB = 0.5  # probability of cutmix where both are on
_C.MIXUP.LABEL_SMOOTH_VALUE = 0.1  # label smoothing

# --------------------------------------------------------------------------------------------------------------- training
_C.TRAIN = CfgNode()
_C.TRAIN.ENABLE = True  # run the training stage
_C.TRAIN.DATASET = "kinetics"  # name of the training and validation set in the registry
_C.TRAIN.BATCH_SIZE = 64  # videos of a batch on this machine, all its GPUs together
_C.TRAIN.ACCUM_STEPS = 1  # batches whose gradients are added up for one optimiser step
_C.TRAIN.PRECISION = "auto"  # autocast of the forward pass: auto (bf16 on CUDA, fp32 on the CPU) | bf16 | fp16 | fp32
_C.TRAIN.CHANNELS_LAST = True  # memory format channels_last_3d: same numbers, faster convolutions
_C.TRAIN.COMPILE = False  # torch.compile the model
_C.TRAIN.EVAL_PERIOD = 10  # validate every so many epochs, and after the last
_C.TRAIN.CHECKPOINT_PERIOD = 10  # save every so many epochs, and after the last
_C.TRAIN.SAVE_EVERY_STEPS = 0  # save also every so many optimiser steps, the last two of these are kept; 0 = only after epochs
_C.TRAIN.REQUEUE = False  # put the SLURM job back into the queue when SIGUSR1 or SIGTERM has ended it
_C.TRAIN.SHARDING = "none"  # none: every process holds the whole model | fsdp: weights, gradients, optimiser spread over all (FSDP2)
_C.TRAIN.AUTO_RESUME = True  # go on from the newest file in OUTPUT_DIR/checkpoints; wins over CHECKPOINT_FILE_PATH
_C.TRAIN.CHECKPOINT_FILE_PATH = ""  # checkpoint to start from, with optimiser and epoch unless CHECKPOINT_EPOCH_RESET
_C.TRAIN.CHECKPOINT_EPOCH_RESET = False  # take only the weights of CHECKPOINT_FILE_PATH: fine-tuning
_C.TRAIN.CHECKPOINT_INFLATE = False  # CHECKPOINT_FILE_PATH holds an image model: inflate its convolutions over time
_C.TRAIN.CHECKPOINT_CLEAR_NAME_PATTERN = []  # pieces of text to delete from the key names of CHECKPOINT_FILE_PATH
_C.TRAIN.MAX_BAD_STEPS = 10  # stop after so many steps in a row with a non-finite loss

_C.SOLVER = CfgNode()
_C.SOLVER.OPTIMIZING_METHOD = "sgd"  # sgd | adam | adamw
_C.SOLVER.BASE_LR = 0.1  # highest learning rate
_C.SOLVER.BASE_LR_SCALE_NUM_SHARDS = False  # multiply the learning rates by NUM_SHARDS
_C.SOLVER.AUTO_SCALE_LR = False  # multiply the learning rates by the clips of a step (all processes, ACCUM_STEPS) / REFERENCE_BATCH
_C.SOLVER.REFERENCE_BATCH = 0  # clips per step that the learning rates are meant for; 0 = not known
_C.SOLVER.LR_POLICY = "cosine"  # cosine | steps_with_relative_lrs
_C.SOLVER.COSINE_END_LR = 0.0  # learning rate at MAX_EPOCH
_C.SOLVER.COSINE_AFTER_WARMUP = False  # the cosine starts at WARMUP_EPOCHS; False: at 0, so that its top is cut off
_C.SOLVER.STEPS = []  # epochs at which a step begins, the first is 0
_C.SOLVER.LRS = []  # learning rate of each step / BASE_LR
_C.SOLVER.MAX_EPOCH = 300  # epochs of the run
_C.SOLVER.WARMUP_EPOCHS = 0.0  # epochs of linear warm-up
_C.SOLVER.WARMUP_START_LR = 0.01  # learning rate at the start of the warm-up
_C.SOLVER.WEIGHT_DECAY = 1e-4  # of all parameters but those of the next key and BN.WEIGHT_DECAY
_C.SOLVER.ZERO_WD_1D_PARAM = False  # no weight decay for vectors: biases, norms, scales
_C.SOLVER.CLIP_GRADIENT = 20  # largest L2 norm of all gradients together; None or 0 = no clipping
_C.SOLVER.MOMENTUM = 0.9  # of sgd
_C.SOLVER.DAMPENING = 0.0  # of sgd
_C.SOLVER.NESTEROV = True  # of sgd
_C.SOLVER.BETAS = [0.9, 0.999]  # of adam and adamw

_C.BN = CfgNode()
_C.BN.WEIGHT_DECAY = 0.0  # weight decay of BatchNorm parameters
_C.BN.NORM_TYPE = "batchnorm"  # batchnorm | sync_batchnorm: statistics over the batches of all GPUs together
_C.BN.USE_PRECISE_STATS = False  # measure BatchNorm statistics anew before saving and validating
_C.BN.NUM_BATCHES_PRECISE = 200  # batches of that measurement

# ------------------------------------------------------------------------------------------------------------------- test
_C.TEST = CfgNode()
_C.TEST.ENABLE = True  # run the test stage
_C.TEST.DATASET = "kinetics"  # name of the test set in the registry
_C.TEST.BATCH_SIZE = 8  # views (clips) per forward pass
_C.TEST.CHECKPOINT_FILE_PATH = ""  # weights to test; "" = the newest in OUTPUT_DIR, then TRAIN.CHECKPOINT_FILE_PATH, else an error
_C.TEST.TEST_BEST = False  # test the best checkpoint of OUTPUT_DIR instead of the newest
_C.TEST.ALLOW_PARTIAL_LOAD = False  # test even if the checkpoint lacks some weights of the model
_C.TEST.NUM_ENSEMBLE_VIEWS = 10  # clips over the length of a video
_C.TEST.NUM_SPATIAL_CROPS = 3  # crops of each clip: 1 = centre, 3 = both ends of the long side and the centre
_C.TEST.SHORT_SIDE = 0  # short side before the crop; 0 = TEST_CROP_SIZE
_C.TEST.ENSEMBLE_SPACE = "logits"  # what DATA.ENSEMBLE_METHOD combines: logits (as UniFormer's published numbers) | softmax
_C.TEST.PRECISION = "fp32"  # autocast of the forward pass: auto | bf16 | fp16 | fp32
_C.TEST.SAVE_RESULTS_PATH = ""  # file name under OUTPUT_DIR for a pickle [scores, labels]; "" = none

_C.TENSORBOARD = CfgNode()
_C.TENSORBOARD.ENABLE = False  # write training curves for TensorBoard
_C.TENSORBOARD.LOG_DIR = ""  # relative to OUTPUT_DIR; "" = runs-<TRAIN.DATASET>

_C.DIST = CfgNode()
_C.DIST.TIMEOUT = 600.0  # seconds that a process waits for another, at the start and in every exchange, before the run ends
_C.DIST.GRADIENT_COMPRESSION = "none"  # none | bf16: half the bytes between the processes, gradients rounded to 8 bits of mantissa


class Kind(NamedTuple):
    """What a key holds."""

    element: type | str  # bool, int, float, str, or "number": an int stays an int, a float a float
    is_list: bool = False
    may_be_none: bool = False
    equal_list: bool = False  # a list of equal values counts as that value: some published files repeat it per stage


# What the type of a default does not tell.
_KINDS = {
    "UNIFORMER.MLP_RATIO": Kind("number", equal_list=True),
    "UNIFORMER.DROPOUT_RATE": Kind("number"),
    "UNIFORMER.ATTENTION_DROPOUT_RATE": Kind("number"),
    "UNIFORMER.QKV_SCALE": Kind("number", may_be_none=True),
    "UNIFORMER.REPRESENTATION_SIZE": Kind("number", may_be_none=True),
    "UNIFORMER.PRETRAIN_NAME": Kind(str, may_be_none=True),
    "SOLVER.CLIP_GRADIENT": Kind("number", may_be_none=True),
    "SOLVER.STEPS": Kind("number", is_list=True),
    "SOLVER.LRS": Kind(float, is_list=True),
    "DATA.TARGET_FPS": Kind("number"),
    "DATA.TRAIN_JITTER_SCALES_RELATIVE": Kind(float, is_list=True),
    "DATA.TRAIN_JITTER_ASPECT_RELATIVE": Kind(float, is_list=True),
    "TRAIN.CHECKPOINT_CLEAR_NAME_PATTERN": Kind(str, is_list=True),
}


def default_cfg() -> CfgNode:
    """A fresh tree of defaults."""
    return _C.clone()


def leaves(node: CfgNode, prefix: str = "") -> dict[str, object]:
    """``{"TRAIN.BATCH_SIZE": 64, ...}`` in the order of this file."""
    flat = {}
    for name, value in node.items():
        flat |= leaves(value, f"{prefix}{name}.") if isinstance(value, CfgNode) else {prefix + name: value}
    return flat


def kind_of(key: str, default: object) -> Kind:
    """The kind of values that ``key`` takes; follows from its default, unless the table above says more."""
    if key in _KINDS:
        return _KINDS[key]
    if isinstance(default, list):
        return Kind(type(default[0]), is_list=True)
    return Kind(type(default))
