"""Every key there is, its default, what it means: the schema is the documentation.

Names, meanings and defaults are those of the SlowFast family of frameworks, so that the published yaml files of
UniFormer and
FRAGRANT load as they are. A key stands here only if something reads it; what happens to the other published keys says
published.py.
"""

from typing import NamedTuple

from fvcore.common.config import CfgNode

from fragrant.config.pixel_statistics import PIXEL_MEANS, PIXEL_STDS

_C = CfgNode()

# -------------------------------------------------------------------------------------------------------------- the run
_C.OUTPUT_DIR = "./tmp"  # folder for checkpoints, logs, scores and the effective config
_C.NUM_GPUS = 1  # GPUs of this machine, one process each; 0 = the CPU
_C.NUM_SHARDS = 1  # machines that train together
_C.SHARD_ID = 0  # number of this machine, from 0
_C.DIST_BACKEND = "nccl"  # how GPU processes talk: nccl | gloo (CPU processes always use gloo)
_C.RNG_SEED = 1  # every random draw follows from it
_C.LOG_PERIOD = 10  # steps between two log records
_C.LOG_MODEL_INFO = True  # parameters, GFLOPs and activations of the model at the start

# ---------------------------------------------------------------------------------------------------------------- model
_C.MODEL = CfgNode()
_C.MODEL.MODEL_NAME = (
    "SlowFast"  # name of the model in the registry; the published default, not built here: every yaml names its own
)
_C.MODEL.ARCH = "slowfast"  # family name that published files carry; the model itself decides everything here
_C.MODEL.NUM_CLASSES = 400  # classes; labels are 0 .. NUM_CLASSES - 1
_C.MODEL.LOSS_FUNC = (
    "cross_entropy"  # cross_entropy | soft_cross_entropy (the same, for shares) | focal | bce_logit (several labels)
)
_C.MODEL.DROPOUT_RATE = 0.5  # dropout before the classifier; UniFormer has its own key and ignores this one
_C.MODEL.HEAD_ACT = "softmax"  # published: activation in eval mode; models here return logits, see TEST.ENSEMBLE_SPACE
_C.MODEL.SINGLE_PATHWAY_ARCH = [
    "2d",
    "c2d",
    "i3d",
    "slow",
    "x3d",
    "mvit",
    "uniformer",
]  # published, decides nothing here
_C.MODEL.MULTI_PATHWAY_ARCH = ["slowfast"]  # published, decides nothing here
_C.MODEL.FROZEN_BN = (
    False  # BatchNorm keeps the statistics it starts with, in training too; its weight and bias are trained
)
_C.MODEL.USE_CHECKPOINT = False  # activation checkpointing: less memory, one more forward pass
_C.MODEL.CHECKPOINT_NUM = [0, 0, 0, 0]  # how many blocks of each stage are recomputed

_C.UNIFORMER = CfgNode()
_C.UNIFORMER.EMBED_DIM = [64, 128, 320, 512]  # width of each stage
_C.UNIFORMER.DEPTH = [3, 4, 8, 3]  # blocks of each stage; small 3 4 8 3, base 5 8 20 7
_C.UNIFORMER.HEAD_DIM = 64  # width of one attention head
_C.UNIFORMER.MLP_RATIO = 4  # hidden width of a block's MLP / its width
_C.UNIFORMER.QKV_BIAS = True  # bias in the query, key and value projection
_C.UNIFORMER.QKV_SCALE = None  # attention scale; None = HEAD_DIM ** -0.5
_C.UNIFORMER.REPRESENTATION_SIZE = (
    None  # a further layer before the classifier: the published code fails with it, only None works
)
_C.UNIFORMER.DROPOUT_RATE = 0  # dropout after the patch embedding, in MLPs and projections
_C.UNIFORMER.ATTENTION_DROPOUT_RATE = 0  # dropout of attention weights
_C.UNIFORMER.DROP_DEPTH_RATE = 0.1  # drop path of the last block, growing linearly from 0 at the first
_C.UNIFORMER.PRETRAIN_NAME = None  # checkpoint file to start training from (image weights are inflated); None = random
_C.UNIFORMER.SPLIT = False  # attention over time, then space, instead of over both at once
_C.UNIFORMER.STD = False  # patch embeddings of stages 2-4 look at 3 frames instead of 1

_C.MVITV2 = CfgNode()
_C.MVITV2.DROP_PATH_RATE = 0.2  # drop path of the last block, growing linearly from 0 at the first

_C.FRAGRANT = CfgNode()
_C.FRAGRANT.FAM_AT = [
    "stage2"
]  # where FAM stands: embed1 .. embed4 (after that patch embedding), stage1 .. stage4 (after that stage)
_C.FRAGRANT.RAM_AT = ["stage3"]  # where RAM stands; [] = nowhere
_C.FRAGRANT.ORDER = [
    "fam"
]  # fam | ram: which comes first where both stand at one place; one for all, or one for each place of FAM_AT
_C.FRAGRANT.RESIDUAL = True  # x + module(x) instead of module(x)
_C.FRAGRANT.FAM_EXPONENT = 1  # exponent of FAM's amplitude: 1 as in the published code, 2 as in the published figure
_C.FRAGRANT.RAM_IMPL = (
    "auto"  # auto | torch | triton: what computes RAM's sums over neighbours; auto takes Triton on CUDA if it is there
)
_C.FRAGRANT.RAM = CfgNode()
_C.FRAGRANT.RAM.KERNEL_TYPE = (
    "VplusR"  # V | R | VplusR: the kernel comes from the query, from its relations, or from both
)
_C.FRAGRANT.RAM.FEATURE_TYPE = "VplusR"  # V | R | VplusR: the kernel gathers values, their relations, or both
_C.FRAGRANT.RAM.HEADS = 8  # heads; they must divide the width of the stage
_C.FRAGRANT.RAM.KEY_DIM = 0  # width of query and key of a head; 0 = VALUE_DIM
_C.FRAGRANT.RAM.VALUE_DIM = 0  # width of the values; 0 = width of the stage / HEADS
_C.FRAGRANT.RAM.LATENT_DIM = 0  # width that the two factors of a kernel share; 0 = KEY_DIM
_C.FRAGRANT.RAM.KERNEL_SIZE = [3, 7, 7]  # neighbours in time, height, width; odd
_C.FRAGRANT.RAM.STRIDE = [1, 1, 1]  # above 1 anywhere: the map is averaged to half its height and width, as published

_C.CSN = CfgNode()
_C.CSN.DEPTH = 152  # 26 | 50 | 101 | 152
_C.CSN.BOTTLENECK = "ir"  # ir: depthwise 3x3x3 convolutions | ip: a 1x1x1 convolution before each of them
_C.CSN.POOL2 = False  # halve time once more, after the first stage; no published model does
_C.CSN.FROZEN_BN = False  # BatchNorm keeps statistics, scales and shifts, as in all published fine-tuning

_C.SWIN = CfgNode()
_C.SWIN.SIZE = "T"  # T | S | B | L: widths, blocks and heads of Video Swin
_C.SWIN.PATCH_SIZE = [2, 4, 4]  # frames, rows, columns of a patch
_C.SWIN.WINDOW_SIZE = [8, 7, 7]  # frames, rows, columns of patches that attend to each other
_C.SWIN.DROP_PATH_RATE = 0.2  # drop path of the last block, growing linearly from 0 at the first
_C.SWIN.BACKBONE_LR_SCALE = 1.0  # learning rate of everything but the head / that of the run
_C.SWIN.FROZEN_STAGES = (
    -1
)  # first stages that keep their weights, with the patch embedding (0: that alone); -1 = none, 4 = all

_C.DGAM = CfgNode()
_C.DGAM.BACKBONE = "VideoSwin"  # the model behind the gamma experts, a MODEL.MODEL_NAME with its own keys
_C.DGAM.GAMMAS = [1.0, 1.5, 2.0, 2.5, 3.0]  # of the experts: above 1 is brighter
_C.DGAM.STATISTICS = ["mean", "std", "entropy"]  # of every frame, that the gate decides by; published: all three
_C.DGAM.FIXED = (
    None  # one of GAMMAS: every clip gets it, in training and test, whatever the gate says; null = the gate decides
)
_C.DGAM.SELECT = (
    "st_gumbel"  # how training picks an expert: st_gumbel | hard (as published: cannot learn) | expected | soft
)
_C.DGAM.BALANCE = (
    0.0  # weight of a loss that is least where all experts are used alike; 0.01 where the gate keeps to one
)
_C.DGAM.TAU = 1.0  # temperature of st_gumbel and hard; published, with hard: 1e-6
_C.DGAM.HEADS = "matched"  # matched: a classifier for each expert | shared: one for all
_C.DGAM.FREEZE = []  # parts that keep their weights: backbone, heads, gate
_C.DGAM.BACKBONE_LR_SCALE = 1.0  # learning rate of the backbone / that of the run; published 0.1
_C.DGAM.GATE_LR_SCALE = 1.0  # learning rate of the gate / that of the run; published 1000

_C.MIE = CfgNode()
_C.MIE.NUM_SEGMENTS = 8  # segments of a clip; DATA.NUM_FRAMES = NUM_SEGMENTS * FRAMES_PER_SEGMENT
_C.MIE.FRAMES_PER_SEGMENT = 4  # neighbouring frames of a segment: 4 for motion maps, 1 for RGB alone
# picture and motion maps: afm (adaptive fusion) | concat (side by side, as PAN-Lite) | none (first frame alone)
_C.MIE.FUSION = "afm"
_C.MIE.DPTAM = True  # double pooling temporal attention in every block
_C.MIE.DEPTH = 50  # layers of the ResNet: 50 | 101 | 152
_C.MIE.CONSENSUS = "avg"  # logits of a clip from those of its segments: avg (as published) | max
_C.MIE.PARTIAL_BN = False  # freeze every BatchNorm of the ResNet but the first; those of DPTAM always learn
# start of PA's convolution: default (PyTorch's, published MIE-Net) | pan (normal with std 0.001, published PAN)
_C.MIE.PA_INIT = "default"
_C.MIE.FREEZE_MIX = False  # AFM's two weights stay as they are, as in the published code, which forgets them
_C.MIE.FAST_HEAD = (
    True  # head at 5 (bias: 10) times the learning rate; False: fine-tuning from weights of the same data set
)

# ----------------------------------------------------------------------------------------------------------------- data
_C.DATA = CfgNode()
_C.DATA.PATH_TO_DATA_DIR = ""  # folder of the list files; for the demo set: where it is made
_C.DATA.TRAIN_LIST = ""  # list file of the training videos, relative to PATH_TO_DATA_DIR; "" = train.csv
_C.DATA.VAL_LIST = ""  # list file of the validation videos; "" = val.csv
_C.DATA.TEST_LIST = ""  # list file of the test videos; "" = test.csv
_C.DATA.HOLD_OUT = (
    0.0  # above 0: no validation list, but this share of every class of the training list, drawn with RNG_SEED
)
_C.DATA.CLASSES_FILE = ""  # one class name per line; "" = classes.txt beside the lists, if there
_C.DATA.LABEL_PATH_TEMPLATE = (
    "somesomev1_rgb_{}_split.txt"  # sets sth and hmdb: name of a list; {} = train | validation (hmdb: val)
)
_C.DATA.LIST_FORMAT = (
    "auto"  # form of a list row: auto | an example such as "path,label", "path num_frames label", "id\\tlabel\\tpath"
)
_C.DATA.PATH_LABEL_SEPARATOR = " "  # between path and label in a list line; LIST_FORMAT auto also finds another one
_C.DATA.PATH_PREFIX = ""  # folder put in front of every path of the lists
_C.DATA.ROOT_REPLACE = []  # [old, new]: list paths that begin with the folder old lie in new
# which edition of a set that is read as distributed: arid v1.0-split1, ...; "" = the first, an unknown one lists them
_C.DATA.EDITION = ""
_C.DATA.NUM_FRAMES = 8  # frames of a clip
_C.DATA.SAMPLING_RATE = 8  # step between two frames of a dense clip; the clip spans NUM_FRAMES * SAMPLING_RATE frames
# dense: neighbours | of the whole video: sparse, segment (TSN), uniform (MMAction2) | 64 frames: segment_dense
_C.DATA.SAMPLING = "dense"
_C.DATA.SEGMENT_LENGTH = (
    1  # segment: neighbouring frames from each part of the video; its parts are NUM_FRAMES / SEGMENT_LENGTH
)
_C.DATA.USE_OFFSET_SAMPLING = (
    False  # test clips from the first to the last possible start; False: the published slack * k / views
)
_C.DATA.FPS_CONVERT = (
    False  # True: a clip spans NUM_FRAMES * SAMPLING_RATE / TARGET_FPS seconds, whatever the video's rate
)
_C.DATA.TARGET_FPS = 30  # frames per second that SAMPLING_RATE counts in; read with FPS_CONVERT only
_C.DATA.DECODING_BACKEND = (
    "pyav"  # pyav | torchcodec | decord (extras to install; the same frames); torchvision is read with pyav
)
_C.DATA.IMAGE_TEMPLATE = "{:05d}.jpg"  # file names in a folder of pictures, which counts as a video: "img_{:05d}.png"
_C.DATA.IMAGE_BASE = None  # number of the first picture, 0 or 1; None = the smallest there is
_C.DATA.DECODE_SHORT_SIDE = 0  # reduce larger frames to this short side while decoding: faster, other pixels; 0 = exact
_C.DATA.CACHE_DIR = (
    ""  # folder for decoded frames (at DECODE_SHORT_SIDE): later epochs read instead of decoding; "" = none
)
_C.DATA.CACHE_GB = 50.0  # the cache takes at most this; what comes later is decoded every time
_C.DATA.MAX_BAD_FRACTION = (
    0.2  # stop when more of an epoch's videos are unreadable; up to there others of their class replace them
)
_C.DATA.CLIP_DTYPE = (
    "uint8"  # uint8 | float32: float32 keeps the unrounded pixels of a resize, as published; four times the bytes
)
_C.DATA.MEAN = [
    0.45,
    0.45,
    0.45,
]  # per channel, of pixels in 0..1, RGB; or a name: imagenet | kinetics | arid | arid_v15 | infar
_C.DATA.STD = [0.225, 0.225, 0.225]  # as MEAN
# 255 * (pixel / 255) ** (1 / gamma): [] none | [3] fixed | [1, 5] drawn per training clip; a test takes the middle
_C.DATA.GAMMA = []
_C.DATA.GAMMA_IN = (
    "both"  # where it is applied: both | train | test (with validation); MEAN and STD are those of pixels after it
)
_C.DATA.ENHANCE = (
    "none"  # before gamma: none | equalize | clahe: histogram equalisation of the brightness, one curve per clip
)
# what else is done to training clips, in this order, by name: reverse_half, or what a plug-in registers
_C.DATA.TRANSFORMS = []
_C.DATA.INPUT_CHANNEL_NUM = [3, 3]  # channels of a clip, one number per pathway; only the first counts here
_C.DATA.REVERSE_INPUT_CHANNEL = False  # hand BGR to the model
_C.DATA.TRAIN_CROP_SIZE = 224  # side of a training crop
_C.DATA.TEST_CROP_SIZE = 256  # side of a validation or test crop
_C.DATA.TRAIN_JITTER_SCALES = [256, 320]  # range of the short side before the random crop
_C.DATA.INV_UNIFORM_SAMPLE = False  # draw 1 / short side uniformly instead of the short side
_C.DATA.TRAIN_SHORT_SIDE = (
    0  # short side that frames get before a random resized crop, as mmaction2 does; 0 = crop them as they are
)
# area range of a random resized crop, [0.08, 1.0]; [] = short-side jitter + crop
_C.DATA.TRAIN_JITTER_SCALES_RELATIVE = []
_C.DATA.TRAIN_JITTER_ASPECT_RELATIVE = []  # width / height range of a random resized crop, [0.75, 1.3333]
# TSN's multi-scale crop: box sides / short side, [1, 0.875, 0.75, 0.66]; [] = the crops above
_C.DATA.TRAIN_MULTI_SCALE = []
_C.DATA.RANDOM_FLIP = True  # mirror half of the training clips; False where left and right matter
_C.DATA.MULTI_LABEL = (
    False  # True: a video may have several labels, "path 3,7"; needs MODEL.LOSS_FUNC bce_logit, reports mAP
)
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
# mean luma 0..1 that videos have in turn, a lamp stays white; [] = each its own, 0.03 to 0.13, no lamp
_C.DEMO_SET.EXPOSURES = []

_C.AUG = CfgNode()
_C.AUG.ENABLE = False  # RandAugment, colour jitter and random erasing of training clips
_C.AUG.ORDER = (
    "crop_first"  # crop_first: RandAugment works on the crop, fast | published: on the decoded frames, then crop
)
_C.AUG.NUM_SAMPLE = 1  # differently augmented copies of a decoded clip; a step then sees BATCH_SIZE * NUM_SAMPLE clips
_C.AUG.AA_TYPE = "rand-m9-mstd0.5-inc1"  # RandAugment in timm's notation; "" = none
_C.AUG.INTERPOLATION = (
    "bicubic"  # of RandAugment's geometric operations: bicubic | bilinear | random (one of both per operation)
)
_C.AUG.BRI_CON_SAT = []  # colour jitter: reach of brightness, contrast and saturation, [0.4, 0.4, 0.4]; [] = none
_C.AUG.HUE = 0.0  # colour jitter: largest turn of the hue, up to 0.5 of the colour circle
_C.AUG.RE_PROB = 0.25  # probability of random erasing
# what fills an erased box: pixel (noise per pixel) | rand (one colour per frame) | const (0, the mean colour)
_C.AUG.RE_MODE = "pixel"
_C.AUG.RE_COUNT = 1  # most erased boxes per clip; their number is drawn from 1 up to it

_C.LOSS = CfgNode()
_C.LOSS.LABEL_SMOOTHING = 0.0  # share of a label spread over all classes; mixup has its own key
_C.LOSS.CLASS_WEIGHTS = []  # how much the clips of each class count; [] = all alike
_C.LOSS.FOCAL_GAMMA = 2.0  # of MODEL.LOSS_FUNC focal: exponent that makes easy clips count less

_C.MIXUP = CfgNode()
_C.MIXUP.ENABLE = False  # mixup, cutmix and label smoothing
_C.MIXUP.TYPE = (
    "mixup"  # mixup (with cutmix, the keys below) | svmix: a mixer that learns, SVMIX.* and LABEL_SMOOTH_VALUE
)
_C.MIXUP.ALPHA = 0.8  # Beta(ALPHA, ALPHA) of mixup; 0 = no mixup
_C.MIXUP.CUTMIX_ALPHA = 1.0  # Beta(ALPHA, ALPHA) of cutmix; 0 = no cutmix
_C.MIXUP.PROB = 1.0  # probability that a batch is mixed
_C.MIXUP.SWITCH_PROB = 0.5  # probability of cutmix where both are on
_C.MIXUP.LABEL_SMOOTH_VALUE = 0.1  # label smoothing

_C.SVMIX = CfgNode()
_C.SVMIX.SPATIAL_PROB = 0.5  # probability that a step mixes places within frames; else it mixes whole frames
_C.SVMIX.ALPHA_SPATIAL = 1.0  # Beta(a, a) of the clip's own share, in steps that mix places
_C.SVMIX.ALPHA_TEMPORAL = 0.8  # the same in steps that mix frames
_C.SVMIX.PROB = 1.0  # probability that the student sees mixed clips; the mixer learns in every step
_C.SVMIX.LAM_MARGIN = 0.08  # shares this close to 0 or 1 mix evenly
_C.SVMIX.MASK_LOSS = 0.1  # weight of the loss that holds the mixer's mean share near the drawn one
_C.SVMIX.MASK_MARGIN = 0.1  # how far it may be off
_C.SVMIX.EMA = 0.999  # decay of the teacher, the moving average of the student, per optimiser step
_C.SVMIX.TEACHER_BATCH_STATS = (
    True  # the teacher's BatchNorms use the batch's statistics, as published; its dropout is always off
)
_C.SVMIX.EVAL = "teacher"  # who is validated and tested: teacher | student
_C.SVMIX.MODULE_DIM = 0  # width of the mixer's questions; 0 = that of the feature map
_C.SVMIX.MODULE_OPT = "sgd"  # the mixer's optimiser: sgd (momentum 0.9) | adam | adamw
_C.SVMIX.MODULE_LR = 0.02  # the mixer's highest learning rate
_C.SVMIX.LR_SCHEDULED = True  # it follows the student's schedule, scaled to MODULE_LR / SOLVER.BASE_LR; False: constant
_C.SVMIX.MODULE_WD = 1e-4  # the mixer's weight decay
_C.SVMIX.MODULE_CLIP = (
    20.0  # largest L2 norm of the mixer's gradients, apart from SOLVER.CLIP_GRADIENT; 0 = no clipping
)

_C.DISTILL = CfgNode()
_C.DISTILL.CHECKPOINT = ""  # a trained model of this project that teaches; "" = nobody
_C.DISTILL.ALPHA = 0.5  # weight of the teacher's probabilities; 1 - ALPHA is that of the labels
_C.DISTILL.TEMPERATURE = 4.0  # softens both probabilities
# the teacher sees: dark (the student's clips) | enhanced (brightened by the teacher's DATA.ENHANCE and GAMMA)
_C.DISTILL.INPUT = "dark"

# ------------------------------------------------------------------------------------------------------------- training
_C.TRAIN = CfgNode()
_C.TRAIN.ENABLE = True  # run the training stage
_C.TRAIN.DATASET = "kinetics"  # name of the training and validation set in the registry
_C.TRAIN.OBJECTIVE = (
    ""  # what a step minimises; "" = classify, distill or svmix, as MIXUP and DISTILL say; or the name of a plug-in's
)
_C.TRAIN.BATCH_SIZE = 64  # videos of a batch on this machine, all its GPUs together
_C.TRAIN.ACCUM_STEPS = 1  # batches whose gradients are added up for one optimiser step
_C.TRAIN.PRECISION = "auto"  # autocast of the forward pass: auto (bf16 on CUDA, fp32 on the CPU) | bf16 | fp16 | fp32
_C.TRAIN.CHANNELS_LAST = True  # memory format channels_last_3d: same numbers, faster convolutions
_C.TRAIN.COMPILE = False  # torch.compile the model
_C.TRAIN.EVAL_PERIOD = 10  # validate every so many epochs, and after the last
_C.TRAIN.CHECKPOINT_PERIOD = 10  # save every so many epochs, and after the last
_C.TRAIN.SAVE_EVERY_STEPS = (
    0  # save also every so many optimiser steps, the last two of these are kept; 0 = only after epochs
)
_C.TRAIN.REQUEUE = False  # put the SLURM job back into the queue when SIGUSR1 or SIGTERM has ended it
_C.TRAIN.SHARDING = (
    "none"  # none: every process holds the whole model | fsdp: weights, gradients, optimiser spread over all (FSDP2)
)
_C.TRAIN.AUTO_RESUME = True  # go on from the newest file in OUTPUT_DIR/checkpoints; wins over CHECKPOINT_FILE_PATH
_C.TRAIN.CHECKPOINT_FILE_PATH = ""  # checkpoint to start from, with optimiser and epoch unless CHECKPOINT_EPOCH_RESET
_C.TRAIN.CHECKPOINT_EPOCH_RESET = False  # take only the weights of CHECKPOINT_FILE_PATH: fine-tuning
_C.TRAIN.CHECKPOINT_INFLATE = False  # CHECKPOINT_FILE_PATH holds an image model: inflate its convolutions over time
_C.TRAIN.CHECKPOINT_CLEAR_NAME_PATTERN = []  # pieces of text to delete from the key names of CHECKPOINT_FILE_PATH
_C.TRAIN.MAX_BAD_STEPS = 10  # stop after so many steps in a row with a non-finite loss

_C.TRAIN.EMA = CfgNode()
_C.TRAIN.EMA.ENABLE = False  # keep a moving average of the weights
_C.TRAIN.EMA.DECAY = 0.9999  # of the average, per optimiser step
_C.TRAIN.EMA.EVAL = "ema"  # which weights pick the best epoch and are tested: ema | raw; validation scores both

_C.SOLVER = CfgNode()
_C.SOLVER.OPTIMIZING_METHOD = "sgd"  # sgd | adam | adamw
_C.SOLVER.BASE_LR = 0.1  # highest learning rate
_C.SOLVER.BASE_LR_SCALE_NUM_SHARDS = False  # multiply the learning rates by NUM_SHARDS
_C.SOLVER.AUTO_SCALE_LR = (
    False  # multiply the learning rates by the clips of a step (all processes, ACCUM_STEPS) / REFERENCE_BATCH
)
_C.SOLVER.REFERENCE_BATCH = 0  # clips per step that the learning rates are meant for; 0 = not known
_C.SOLVER.LR_POLICY = "cosine"  # cosine | steps_with_relative_lrs | warmup_times_steps: by epoch, as mmaction2 trains
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

# ----------------------------------------------------------------------------------------------------------------- test
_C.TEST = CfgNode()
_C.TEST.ENABLE = True  # run the test stage
_C.TEST.DATASET = "kinetics"  # name of the test set in the registry
_C.TEST.BATCH_SIZE = 8  # views (clips) per forward pass
_C.TEST.CHECKPOINT_FILE_PATH = (
    ""  # weights to test; "" = the newest in OUTPUT_DIR, then TRAIN.CHECKPOINT_FILE_PATH, else an error
)
_C.TEST.TEST_BEST = False  # test the best checkpoint of OUTPUT_DIR instead of the newest
_C.TEST.SELECT_ON = (
    "val"  # what the best epoch is picked on: val | test (the test list itself: optimistic, and every output says so)
)
_C.TEST.ALLOW_MISSING = False  # exit code 0 although test videos were unreadable and have no scores
_C.TEST.ALLOW_PARTIAL_LOAD = False  # test even if the checkpoint lacks some weights of the model
_C.TEST.NUM_ENSEMBLE_VIEWS = 10  # clips over the length of a video
_C.TEST.NUM_SPATIAL_CROPS = 3  # crops of each clip: 1 = centre, 3 = both ends of the long side and the centre
_C.TEST.SHORT_SIDE = 0  # short side before the crop; 0 = TEST_CROP_SIZE
_C.TEST.ENSEMBLE_SPACE = (
    "logits"  # what DATA.ENSEMBLE_METHOD combines: logits (as UniFormer publishes) | softmax | relu | sigmoid
)
_C.TEST.PRECISION = "fp32"  # autocast of the forward pass: auto | bf16 | fp16 | fp32
_C.TEST.NUM_PARTS = (
    1  # parts of the test list, each tested by a run of its own (a job array); tools/ensemble.py puts them together
)
_C.TEST.PART = 0  # which of them this run tests, from 0; it writes scores.<PART>-of-<NUM_PARTS>.npz
_C.TEST.SAVE_RESULTS_PATH = ""  # file name under OUTPUT_DIR for a pickle [scores, labels]; "" = none

# ------------------------------------------------------------------------------------------------------ frozen features
_C.FEATURES = CfgNode()
_C.FEATURES.NETWORK = "resnet50"  # image classifier of torchvision for single frames; clips go through MODEL.MODEL_NAME
_C.FEATURES.WEIGHTS = "DEFAULT"  # of NETWORK: a name of torchvision (IMAGENET1K_V1), random, or a file
_C.FEATURES.OUTPUT = "pooled"  # pooled (what the last layer sees) | logits
_C.FEATURES.SAMPLING = (
    "interval"  # frames of a video: interval (every INTERVAL-th) | random | uniform (NUM_FRAMES of them)
)
_C.FEATURES.INTERVAL = 2  # step between two frames
_C.FEATURES.NUM_FRAMES = 5  # frames with random and uniform; all where a video has fewer
_C.FEATURES.CACHE_DIR = ""  # folder of the features of single videos; "" = OUTPUT_DIR/features
_C.FEATURES.CLASSIFIERS = ["svc_linear", "random_forest", "two_layer"]  # and svc_rbf, logistic_regression, knn
_C.FEATURES.SEEDS = [42]  # one run of every classifier with randomness for each
_C.FEATURES.STANDARDIZE = False  # every feature to mean 0 and deviation 1 of the training videos
# choose hyper-parameters by cross-validation inside the training list (TEST.SELECT_ON val), or on the test list
_C.FEATURES.TUNE = False
_C.FEATURES.FOLDS = 5  # of the cross-validation
_C.FEATURES.LR_RULE = "step"  # two_layer's published learning-rate rule counts step | epoch; or constant

_C.TENSORBOARD = CfgNode()
_C.TENSORBOARD.ENABLE = False  # write training curves for TensorBoard
_C.TENSORBOARD.LOG_DIR = ""  # relative to OUTPUT_DIR; "" = runs-<TRAIN.DATASET>

_C.DIST = CfgNode()
_C.DIST.TIMEOUT = (
    600.0  # seconds that a process waits for another, at the start and in every exchange, before the run ends
)
_C.DIST.GRADIENT_COMPRESSION = (
    "none"  # none | bf16: half the bytes between the processes, gradients rounded to 8 bits of mantissa
)


class Kind(NamedTuple):
    """What a key holds."""

    element: type | str  # bool, int, float, str, or "number": an int stays an int, a float a float
    is_list: bool = False
    may_be_none: bool = False
    equal_list: bool = False  # a list of equal values counts as that value: some published files repeat it per stage
    named: dict[str, list[float]] = {}  # names that stand for a value


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
    "DATA.CACHE_GB": Kind("number"),
    "DATA.IMAGE_BASE": Kind(int, may_be_none=True),
    "DATA.MAX_BAD_FRACTION": Kind("number"),
    "DATA.TARGET_FPS": Kind("number"),
    "DGAM.FREEZE": Kind(str, is_list=True),
    "DATA.TRANSFORMS": Kind(str, is_list=True),
    "DGAM.FIXED": Kind("number", may_be_none=True),
    "DEMO_SET.EXPOSURES": Kind(float, is_list=True),
    "DATA.ROOT_REPLACE": Kind(str, is_list=True),
    "DATA.MEAN": Kind(float, is_list=True, named=PIXEL_MEANS),
    "DATA.STD": Kind(float, is_list=True, named=PIXEL_STDS),
    "DATA.GAMMA": Kind(float, is_list=True),
    "DATA.TRAIN_MULTI_SCALE": Kind(float, is_list=True),
    "AUG.BRI_CON_SAT": Kind(float, is_list=True),
    "LOSS.CLASS_WEIGHTS": Kind(float, is_list=True),
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
