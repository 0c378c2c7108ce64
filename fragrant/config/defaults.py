"""Every key there is, its default, its meaning, the values that it may have: the schema is the documentation.

docs/config.md is written from this file: ``python tools/config_docs.py``. Names, meanings and defaults are those of the
SlowFast family of frameworks, so that the published yaml files of UniFormer and FRAGRANT load as they are. A key stands
here only if something reads it; what happens to the other published keys says published.py.
"""

import copy

from fvcore.common.config import CfgNode

from fragrant.config.keys import KEYS, Kind, key
from fragrant.config.pixel_statistics import PIXEL_MEANS, PIXEL_STDS

_PRECISIONS = ("auto", "bf16", "fp16", "fp32")
ENHANCEMENTS = ("none", "equalize", "clahe", "standardize", "retinex", "dehaze")
AUTO_WEIGHTS = [0.0]  # what LOSS.CLASS_WEIGHTS auto is kept as: nobody can mean it otherwise
_PLACES = (
    *("embed1", "embed2", "embed3", "embed4", "stage1", "stage2", "stage3", "stage4"),
    *(f"layer{layer}" for layer in range(1, 25)),
)

# A row for each key.
# fmt: off
# ---- the run
key("OUTPUT_DIR", "./tmp",
    "folder for checkpoints, logs, scores and the effective config; runs/{config}/{date}-{n}: a new one for every run. "
    "{config} (name of the --cfg file) | {seed} | {date} | {time} | {n} (counts up) | {job} (of SLURM)",
    needed="a folder for checkpoints, logs and scores", on_resume="free", path=True)
key("NUM_GPUS", 1,
    "GPUs of this machine, one process each; 0 = the CPU; auto = all that there are, the CPU where there is none",
    words=("auto",), at_least=0, on_resume="free")
key("NUM_SHARDS", 1, "machines that train together", above=0, on_resume="free")
key("SHARD_ID", 0, "number of this machine, from 0", at_least=0, on_resume="free")
key("DIST_BACKEND", "nccl", "how GPU processes talk: nccl | gloo (CPU processes always use gloo)",
    one_of=("nccl", "gloo"), on_resume="free")
key("RNG_SEED", 1, "every random draw follows from it", at_least=0, at_most=2**63 - 1)
key("LOG_PERIOD", 10, "steps between two log records", above=0, on_resume="free")
key("LOG.TRACKERS", [],
    "services that get the config, the scalars and the test result of the run: tensorboard (as TENSORBOARD.ENABLE) | "
    "wandb | mlflow, the last two with their own packages; one that fails never ends the run", of=str,
    one_of=("tensorboard", "wandb", "mlflow"), on_resume="free")
key("LOG.PROJECT", "fragrant", "of wandb and mlflow (there: the experiment): the runs that belong together",
    needed="a name", on_resume="free")
key("LOG.RUN_NAME", "", 'what they call the run; "" = the last part of OUTPUT_DIR', on_resume="free")
key("LOG_MODEL_INFO", True, "parameters, GFLOPs and activations of the model at the start", on_resume="free")

# ---- model
key("MODEL.MODEL_NAME", "SlowFast",
    "name of the model in the registry; the published default, not built here: every yaml names its own")
key("MODEL.ARCH", "slowfast", "family name that published files carry; the model itself decides everything here",
    on_resume="free")
key("MODEL.NUM_CLASSES", 400, "classes; labels are 0 .. NUM_CLASSES - 1", above=0)
key("MODEL.LOSS_FUNC", "cross_entropy",
    "cross_entropy | soft_cross_entropy (the same, for shares) | focal | bce_logit (several labels)",
    one_of=("cross_entropy", "soft_cross_entropy", "focal", "bce_logit"))
key("MODEL.DROPOUT_RATE", 0.5, "dropout before the classifier; UniFormer has its own key and ignores this one",
    at_least=0, below=1)
key("MODEL.HEAD", "own",
    "own | linear | attentive: the probe that tools/classify_features.py --probe trains, over all places of the "
    "feature map, with PROBE.GRID, NUM_HEADS and WIDTH", one_of=("own", "linear", "attentive"))
key("MODEL.HEAD_ACT", "softmax",
    "published: activation in eval mode; models here return logits, see TEST.ENSEMBLE_SPACE", on_resume="free")
key("MODEL.SINGLE_PATHWAY_ARCH", ["2d", "c2d", "i3d", "slow", "x3d", "mvit", "uniformer"],
    "published, decides nothing here", on_resume="free")
key("MODEL.MULTI_PATHWAY_ARCH", ["slowfast"], "published, decides nothing here", on_resume="free")
key("MODEL.FROZEN_BN", False,
    "BatchNorm keeps the statistics it starts with, in training too; its weight and bias are trained")
key("MODEL.FREEZE", [],
    "parts that keep their weights, in evaluation mode (BatchNorm keeps its statistics, no dropout, no drop path): "
    "stem, stage1, ..., head, or backbone for all but the head; each network has its own names, a wrong one lists them",
    of=str)
key("MODEL.USE_CHECKPOINT", False, "activation checkpointing: less memory, one more forward pass", on_resume="free")
key("MODEL.CHECKPOINT_NUM", [0, 0, 0, 0], "how many blocks of each stage are recomputed", at_least=0, on_resume="free")

key("UNIFORMER.EMBED_DIM", [64, 128, 320, 512], "width of each stage", above=0, sizes=(4,),
    form="have 4 values, one per stage")
key("UNIFORMER.DEPTH", [3, 4, 8, 3], "blocks of each stage; small 3 4 8 3, base 5 8 20 7", above=0, sizes=(4,),
    form="have 4 values, one per stage")
key("UNIFORMER.HEAD_DIM", 64, "width of one attention head", above=0)
key("UNIFORMER.MLP_RATIO", 4, "hidden width of a block's MLP / its width", of="number", equal_list=True, above=0)
key("UNIFORMER.QKV_BIAS", True, "bias in the query, key and value projection")
key("UNIFORMER.QKV_SCALE", None, "attention scale; None = HEAD_DIM ** -0.5", of="number", may_be_none=True, above=0)
key("UNIFORMER.REPRESENTATION_SIZE", None,
    "a further layer before the classifier: the published code fails with it, only None works", of="number",
    may_be_none=True, one_of=(None,))
key("UNIFORMER.DROPOUT_RATE", 0, "dropout after the patch embedding, in MLPs and projections", of="number", at_least=0,
    below=1)
key("UNIFORMER.ATTENTION_DROPOUT_RATE", 0, "dropout of attention weights", of="number", at_least=0, below=1)
key("UNIFORMER.HEAD_DROPOUT_RATE", 0, "dropout before the classifier", of="number", at_least=0, below=1)
key("UNIFORMER.DROP_DEPTH_RATE", 0.1, "drop path of the last block, growing linearly from 0 at the first", at_least=0,
    below=1)
key("UNIFORMER.PRETRAIN_NAME", None,
    "checkpoint file to start training from (image weights are inflated); None = random", of=str, may_be_none=True,
    on_resume="moves", path=True)
key("UNIFORMER.SPLIT", False, "attention over time, then space, instead of over both at once")
key("UNIFORMER.STD", False, "patch embeddings of stages 2-4 look at 3 frames instead of 1")
key("UNIFORMER.MOTION_INPUT", False,
    "give the network brightness, its change to the next frame and the size of the change in the place of colours",
    of_clips=True)

key("R2PLUS1D.DEPTH", 18, "layers of the ResNet: 18 (torchvision's) | 34 (as IG-65M's files)", one_of=(18, 34))
key("R2PLUS1D.BN_MOMENTUM", 0.1,
    "share of a batch in BatchNorm's running statistics; published with IG-65M 0.9: they follow the last batch",
    above=0, at_most=1)

key("MVITV2.DROP_PATH_RATE", 0.2, "drop path of the last block, growing linearly from 0 at the first", at_least=0,
    below=1)

key("TIMM.NETWORK", "tf_efficientnet_lite0", "TimmVideo: the image network, a name of timm, with or without a tag")
key("TIMM.WEIGHTS", "DEFAULT",
    "training starts from: DEFAULT (an installed package, else the first that timm lists) | a tag of timm (in1k) | "
    "random | a file", on_resume="moves", path=True)
key("TIMM.TEMPORAL", "shift_residual",
    "none | shift (TSM's, before every residual block) | shift_residual (for the layers inside alone, as TSM)",
    one_of=("none", "shift", "shift_residual"))
key("TIMM.POOLING", "mean", "over frames: mean | attention (a weighted mean) | transformer",
    one_of=("mean", "attention", "transformer"))
key("TIMM.POOL_DEPTH", 1, "blocks of that transformer", above=0)
key("TIMM.DPTAM_AT", [], "stages behind whose blocks DPTAM stands; [] = nowhere", of=str,
    one_of=("stage1", "stage2", "stage3", "stage4"))
key("TIMM.DROP_PATH_RATE", 0.0, "drop path of the network's last block", at_least=0, below=1)

key("VIT.PATCH_SIZE", [2, 16, 16], "frames, rows, columns of a tubelet of VisionTransformer", above=0, sizes=(3,),
    form="have 3 values: frames, rows, columns")
key("VIT.EMBED_DIM", 384, "width; 192 (Ti), 384 (S), 768 (B)", above=0)
key("VIT.DEPTH", 12, "blocks", above=0)
key("VIT.NUM_HEADS", 6, "heads; they must divide EMBED_DIM; 3 (Ti), 6 (S), 12 (B)", above=0)
key("VIT.MLP_RATIO", 4, "hidden width of a block's MLP / its width", of="number", above=0)
key("VIT.DROP_PATH_RATE", 0.1, "drop path of the last block, growing linearly from 0 at the first", at_least=0, below=1)
key("VIT.POSITION", "sines",
    "positions of tubelets: sines (fixed, as VideoMAE) | learned (for NUM_FRAMES and TRAIN_CROP_SIZE, else resized)",
    one_of=("sines", "learned"))

key("UNIFORMERV2.BACKBONE", "uniformerv2_b16",
    "image transformer of UniFormerV2: uniformerv2_b16 | uniformerv2_l14 | uniformerv2_l14_336; the published default "
    "'vit_b16' names none",
    one_of=("uniformerv2_b16", "uniformerv2_l14", "uniformerv2_l14_336"))
key("UNIFORMERV2.INPUT_RESOLUTION", 0,
    "side of the pictures that positions are learned for, resized for others; 0 = BACKBONE's (224 or 336)", at_least=0)
key("UNIFORMERV2.PATCH_SIZE", 0, "pixels along a patch; 0 = BACKBONE's (16 or 14)", at_least=0)
key("UNIFORMERV2.WIDTH", 0, "width; 0 = BACKBONE's (768 or 1024)", at_least=0)
key("UNIFORMERV2.LAYERS", 0, "layers; 0 = BACKBONE's (12 or 24)", at_least=0)
key("UNIFORMERV2.HEADS", 0, "heads of its attention; 0 = BACKBONE's (12 or 16)", at_least=0)
key("UNIFORMERV2.N_LAYERS", 4, "global blocks", above=0)
key("UNIFORMERV2.RETURN_LIST", [8, 9, 10, 11], "layers, counted from 0, behind which they stand; N_LAYERS of them",
    at_least=0)
key("UNIFORMERV2.N_DIM", 768, "width of the global blocks, that of BACKBONE: 768 or 1024", above=0)
key("UNIFORMERV2.N_HEAD", 12, "heads of the global blocks: 12 or 16", above=0)
key("UNIFORMERV2.MLP_FACTOR", 4.0, "hidden width of their MLPs / width", above=0)
key("UNIFORMERV2.BACKBONE_DROP_PATH_RATE", 0.0, "drop path of the last layer, growing linearly from 0 at the first",
    at_least=0, below=1)
key("UNIFORMERV2.DROP_PATH_RATE", 0.0, "drop path of the last global block, growing linearly from 0 at the first",
    at_least=0, below=1)
key("UNIFORMERV2.MLP_DROPOUT", [0.5, 0.5, 0.5, 0.5], "dropout in the MLP of each global block", at_least=0, below=1)
key("UNIFORMERV2.CLS_DROPOUT", 0.5, "dropout before the classifier", at_least=0, below=1)
key("UNIFORMERV2.NO_LMHRA", False, "no local relations of frames: as published for Kinetics; False for Something")
key("UNIFORMERV2.DOUBLE_LMHRA", True, "local relations before the MLP too, not before the attention alone")
key("UNIFORMERV2.DW_REDUCTION", 1.5, "width / width inside of local relations", above=0)
key("UNIFORMERV2.TEMPORAL_DOWNSAMPLE", True, "the embedding sees 3 frames and halves their number; False for Kinetics")
key("UNIFORMERV2.FROZEN", False,
    "train the global blocks and the classifier alone, as published: without activations of the image transformer, and "
    "the classifier sees the video's token alone")
key("UNIFORMERV2.ACTIVATION", "quick_gelu",
    "of the layers: quick_gelu (CLIP of OpenAI, MetaCLIP, DFN) | gelu (CLIP of LAION); no file tells which",
    one_of=("quick_gelu", "gelu"))
key("UNIFORMERV2.PRETRAIN", "",
    "file to start training from: CLIP's, UniFormerV2's or mmaction2's, recognised by its names; \"\" = random",
    on_resume="moves", path=True)

key("FRAGRANT.FAM_AT", ["stage2"],
    "where FAM stands: embed1 .. embed4 (after that patch embedding), stage1 .. stage4 (after that stage); in "
    "FragrantV2 embed1, layer1 .. (after that layer), stage1 .. stage4 (after each quarter of them)",
    one_of=_PLACES)
key("FRAGRANT.RAM_AT", ["stage3"], "where RAM stands; [] = nowhere", one_of=_PLACES)
key("FRAGRANT.DPTAM_AT", [], "where DPTAM stands, the temporal attention of MIE-Net; [] = nowhere", of=str,
    one_of=_PLACES)
key("FRAGRANT.ORDER", ["fam"],
    "fam | ram: which comes first where both stand at one place; one for all, or one for each place of FAM_AT",
    one_of=("fam", "ram"), needed="fam or ram, what comes first")
key("FRAGRANT.RESIDUAL", True, "x + module(x) instead of module(x)")
key("FRAGRANT.FAM_EXPONENT", 1, "exponent of FAM's amplitude: 1 as in the published code, 2 as in the published figure",
    one_of=(1, 2))
key("FRAGRANT.RAM_IMPL", "auto",
    "auto | torch | triton: what computes RAM's sums over neighbours; auto takes Triton on CUDA if it is there",
    one_of=("auto", "torch", "triton"), on_resume="free")

key("FRAGRANT.RAM.KERNEL_TYPE", "VplusR",
    "V | R | VplusR: the kernel comes from the query, from its relations, or from both", one_of=("V", "R", "VplusR"))
key("FRAGRANT.RAM.FEATURE_TYPE", "VplusR", "V | R | VplusR: the kernel gathers values, their relations, or both",
    one_of=("V", "R", "VplusR"))
key("FRAGRANT.RAM.HEADS", 8, "heads; they must divide the width of the stage", above=0)
key("FRAGRANT.RAM.KEY_DIM", 0, "width of query and key of a head; 0 = VALUE_DIM", at_least=0)
key("FRAGRANT.RAM.VALUE_DIM", 0, "width of the values; 0 = width of the stage / HEADS", at_least=0)
key("FRAGRANT.RAM.LATENT_DIM", 0, "width that the two factors of a kernel share; 0 = KEY_DIM", at_least=0)
key("FRAGRANT.RAM.KERNEL_SIZE", [3, 7, 7], "neighbours in time, height, width; odd", above=0, sizes=(3,),
    form="have 3 values: time, height, width")
key("FRAGRANT.RAM.STRIDE", [1, 1, 1],
    "above 1 anywhere: the map is averaged to half its height and width, as published", above=0, sizes=(3,),
    form="have 3 values: time, height, width")

key("CSN.DEPTH", 152, "26 | 50 | 101 | 152", one_of=(26, 50, 101, 152))
key("CSN.BOTTLENECK", "ir", "ir: depthwise 3x3x3 convolutions | ip: a 1x1x1 convolution before each of them",
    one_of=("ir", "ip"))
key("CSN.POOL2", False, "halve time once more, after the first stage; no published model does")
key("CSN.FROZEN_BN", False, "BatchNorm keeps statistics, scales and shifts, as in all published fine-tuning")

key("SWIN.SIZE", "T", "T | S | B | L: widths, blocks and heads of Video Swin", one_of=("T", "S", "B", "L"))
key("SWIN.PATCH_SIZE", [2, 4, 4], "frames, rows, columns of a patch", above=0, sizes=(3,),
    form="have 3 values: frames, rows, columns")
key("SWIN.WINDOW_SIZE", [8, 7, 7], "frames, rows, columns of patches that attend to each other", above=0, sizes=(3,),
    form="have 3 values: frames, rows, columns")
key("SWIN.DROP_PATH_RATE", 0.2, "drop path of the last block, growing linearly from 0 at the first", at_least=0,
    below=1)
key("SWIN.BACKBONE_LR_SCALE", 1.0, "learning rate of everything but the head / that of the run", at_least=0)
key("SWIN.FROZEN_STAGES", -1,
    "first stages that keep their weights, with the patch embedding (0: that alone); -1 = none, 4 = all",
    one_of=(-1, 0, 1, 2, 3, 4))

key("DGAM.BACKBONE", "VideoSwin", "the model behind the gamma experts, a MODEL.MODEL_NAME with its own keys")
key("DGAM.GAMMAS", [1.0, 1.5, 2.0, 2.5, 3.0], "of the experts: above 1 is brighter", above=0, needed="at least one")
key("DGAM.STATISTICS", ["mean", "std", "entropy"], "of every frame, that the gate decides by; published: all three",
    one_of=("mean", "std", "entropy"), needed="at least one")
key("DGAM.FIXED", None,
    "one of GAMMAS: every clip gets it, in training and test, whatever the gate says; null = the gate decides",
    of="number", may_be_none=True, above=0)
key("DGAM.SELECT", "st_gumbel",
    "how training picks an expert: st_gumbel | hard (as published: cannot learn) | expected | soft",
    one_of=("st_gumbel", "hard", "expected", "soft"))
key("DGAM.BALANCE", 0.0,
    "weight of a loss that is least where all experts are used alike; 0.01 where the gate keeps to one", at_least=0)
key("DGAM.TAU", 1.0, "temperature of st_gumbel and hard; published, with hard: 1e-6", above=0)
key("DGAM.HEADS", "matched", "matched: a classifier for each expert | shared: one for all",
    one_of=("matched", "shared"))
key("DGAM.FREEZE", [], "parts that keep their weights: backbone, heads, gate", of=str,
    one_of=("backbone", "heads", "gate"))
key("DGAM.BACKBONE_LR_SCALE", 1.0, "learning rate of the backbone / that of the run; published 0.1", at_least=0)
key("DGAM.GATE_LR_SCALE", 1.0, "learning rate of the gate / that of the run; published 1000", at_least=0)

key("DUAL.BACKBONE", "R2Plus1D",
    "MODEL.MODEL_NAME DualStream: the network that both streams of a clip pass, a MODEL.MODEL_NAME with its own keys")
key("DUAL.SHARED", True, "one network for both streams; False: one for each")
key("DUAL.FUSION", "concat_bert",
    "concat_bert: a class token attends to the frames of both streams (DarkLight) | dff: maps added up with weights "
    "for every place (ActLumos) | mean: of the maps | cross: each stream attends to the other",
    one_of=("concat_bert", "dff", "mean", "cross"))
key("DUAL.MODALITY_DROPOUT", 0.0,
    "share of the training clips whose one stream, either as often, takes no part in the fusion, so that a test can do "
    "without it; 0.1 to 0.3 for pairs", at_least=0, at_most=1)
key("DUAL.ENHANCE", "none", "what makes the second stream of the clip, before DUAL.GAMMA: a name of DATA.ENHANCE",
    one_of=ENHANCEMENTS, of_clips=True)
key("DUAL.GAMMA", 1.8, "gamma of the second stream, as DATA.GAMMA; 1 = none; published 1.8", of="number", above=0,
    of_clips=True)
key("DUAL.MEAN", [], "of the second stream, as DATA.MEAN; [] = DATA.MEAN", of=float, named=PIXEL_MEANS, at_least=0,
    at_most=1, of_clips=True)
key("DUAL.STD", [], "of the second stream, as DATA.STD; [] = DATA.STD", of=float, named=PIXEL_STDS, above=0,
    at_most=1, of_clips=True)
key("DUAL.DEPTH", 1, "transformer blocks over the frames' tokens and the class token; 0 = the mean of the tokens",
    at_least=0)
key("DUAL.NUM_HEADS", 8, "of these blocks and of cross; they must divide the width of the network's last map", above=0)
key("DUAL.DROPOUT", 0.1, "of these blocks and the positions; that before the classifier is MODEL.DROPOUT_RATE, "
    "published 0.8", at_least=0, below=1)
key("DUAL.REDUCTION", 4, "dff: width of the maps / that between its convolutions; 4 is ours, not readable in the paper",
    above=0)

key("MIE.NUM_SEGMENTS", 8, "segments of a clip; DATA.NUM_FRAMES = NUM_SEGMENTS * FRAMES_PER_SEGMENT", above=0)
key("MIE.FRAMES_PER_SEGMENT", 4, "neighbouring frames of a segment: 4 for motion maps, 1 for RGB alone", above=0)
key("MIE.FUSION", "afm",
    "picture and motion maps: afm (adaptive fusion) | concat (side by side, as PAN-Lite) | none (first frame alone)",
    one_of=("afm", "concat", "none"))
key("MIE.DPTAM", True, "double pooling temporal attention in every block")
key("MIE.DEPTH", 50, "layers of the ResNet: 50 | 101 | 152", one_of=(50, 101, 152))
key("MIE.CONSENSUS", "avg", "logits of a clip from those of its segments: avg (as published) | max",
    one_of=("avg", "max"))
key("MIE.PARTIAL_BN", False, "freeze every BatchNorm of the ResNet but the first; those of DPTAM always learn")
key("MIE.PA_INIT", "default",
    "start of PA's convolution: default (PyTorch's, published MIE-Net) | pan (normal with std 0.001, published PAN)",
    one_of=("default", "pan"))
key("MIE.FREEZE_MIX", False, "AFM's two weights stay as they are, as in the published code, which forgets them")
key("MIE.FAST_HEAD", True,
    "head at 5 (bias: 10) times the learning rate; False: fine-tuning from weights of the same data set")

# ---- data
key("DATA.PATH_TO_DATA_DIR", "", "folder of the list files, or an address; for the demo set: where it is made",
    on_resume="free", path=True)
key("DATA.COLOR_PATH_TO_DATA_DIR", "",
    "with THERMAL_PATH_TO_DATA_DIR, for MODEL.MODEL_NAME DualStream: folder of the lists of visible videos, in the "
    "place of PATH_TO_DATA_DIR; its rows and those of the other folder are pairs, in their order", on_resume="free",
    path=True)
key("DATA.THERMAL_PATH_TO_DATA_DIR", "",
    "folder of the lists of infrared videos: the second stream; as many rows with the same labels and frames",
    on_resume="free", path=True)
key("DATA.THERMAL_RANGE", [],
    "values of 16-bit gray pictures and videos (of pairs: the infrared ones) that become 0 and 255, [20000, 30000]; "
    "what lies between follows a line, rounded, what lies outside is cut; [] = all of the 16 bits", of=float,
    sizes=(0, 2), rising=True, form="be [] or [low, high], low below high", of_clips=True)
key("DATA.TRAIN_LIST", "", 'list file of the training videos, relative to PATH_TO_DATA_DIR; "" = train.csv',
    on_resume="moves", path=True)
key("DATA.VAL_LIST", "", 'list file of the validation videos; "" = val.csv', on_resume="moves", path=True)
key("DATA.TEST_LIST", "", 'list file of the test videos; "" = test.csv', on_resume="free", path=True)
key("DATA.HOLD_OUT", 0.0,
    "above 0: no validation list, but this share of every class of the training list, drawn with RNG_SEED; whole "
    "groups with GROUP_BY", at_least=0, below=1)
key("DATA.GROUP_BY", "",
    'what HOLD_OUT and FOLDS keep together, clips of one scene or person: a regular expression on the path with '
    "parentheses around the group ('_(\\d+)_\\d+\\.mp4$'), a column of the list by its name, or the rule of a "
    'known set (arid, weizmann, ...); "" = each video by itself')
key("DATA.FOLDS", 0,
    "2 or more: the training list in so many parts, drawn with RNG_SEED and GROUP_BY; one is tested (and validates, "
    "without HOLD_OUT), the others train; 0 = the lists as they are", at_least=0)
key("DATA.FOLD", 0, "which of the FOLDS is tested, from 0", at_least=0)
key("DATA.SHOTS", 0,
    "above 0: train on so many videos of each class alone, drawn with RNG_SEED from the training list after HOLD_OUT "
    "and FOLDS, each of another group by GROUP_BY as long as there are some; 0 = all", at_least=0)
key("DATA.EXTRA_TRAIN_LIST", "",
    "list file of further training videos, as drawn ones beside a few real ones: paths relative to its own folder, the "
    "same classes; never in a fold, nor held out; with pairs DIR/x.csv stands for DIR/color/x.csv and "
    "DIR/thermal/x.csv", path=True)
key("DATA.TRAIN_REPEAT", 1, "an epoch meets the training list so many times, the extra one once", above=0)
key("DATA.CLASSES_FILE", "", 'one class name per line; "" = classes.txt beside the lists, if there',
    on_resume="moves", path=True)
key("DATA.LABEL_PATH_TEMPLATE", "somesomev1_rgb_{}_split.txt",
    "sets sth and hmdb: name of a list; {} = train | validation (hmdb: val)", contains="{}", path=True)
key("DATA.LIST_FORMAT", "auto",
    'form of a list row: auto | an example such as "path,label", "path num_frames label", "id\\\\tlabel\\\\tpath"')
key("DATA.PATH_LABEL_SEPARATOR", " ", "between path and label in a list line; LIST_FORMAT auto also finds another one",
    needed="what stands between path and label, ' ' or ','")
key("DATA.PATH_PREFIX", "",
    "folder put in front of every path of the lists; or an address (http://, s3://, ...) to fetch videos from",
    on_resume="free", path=True)
key("DATA.ROOT_REPLACE", [], "[old, new]: list paths that begin with the folder old lie in new", of=str, sizes=(0, 2),
    form="be [old, new] or []", on_resume="free", path=True)
key("DATA.ALLOW_OUTSIDE_PREFIX", False,
    "list paths may lead out of PATH_PREFIX, or of the folder new of ROOT_REPLACE, by ../; links inside always may",
    on_resume="free")
key("DATA.EDITION", "",
    'which edition of a set that is read as distributed: arid v1.0-split1, ...; "" = the first, an unknown one lists '
    'them')
key("DATA.NUM_FRAMES", 8, "frames of a clip", above=0, of_clips=True)
key("DATA.SAMPLING_RATE", 8,
    "step between two frames of a dense or mmaction clip; it spans NUM_FRAMES * SAMPLING_RATE frames", above=0,
    of_clips=True)
key("DATA.SAMPLING", "dense",
    "neighbours: dense (SlowFast), mmaction (MMAction2, ELLAR) | of the whole video: sparse, segment (TSN), uniform "
    "(MMAction2) | 64 frames: segment_dense",
    one_of=("dense", "sparse", "segment", "uniform", "segment_dense", "mmaction"), of_clips=True)
key("DATA.SEGMENT_LENGTH", 1,
    "segment: neighbouring frames from each part of the video; its parts are NUM_FRAMES / SEGMENT_LENGTH", above=0,
    of_clips=True)
key("DATA.USE_OFFSET_SAMPLING", False,
    "test clips from the first to the last possible start (mmaction: 1.x of it); False: the published slack * k / "
    "views (mmaction: the middles of equal parts, 0.x of it and ELLAR)", on_resume="free")
key("DATA.FPS_CONVERT", False,
    "True: a clip spans NUM_FRAMES * SAMPLING_RATE / TARGET_FPS seconds, whatever the video's rate, or rates",
    of_clips=True)
key("DATA.TARGET_FPS", 30, "frames per second that SAMPLING_RATE counts in; read with FPS_CONVERT only", of="number",
    above=0, of_clips=True)
key("DATA.DECODING_BACKEND", "pyav",
    "pyav | torchcodec | decord (extras to install; the same frames); torchvision is read with pyav",
    one_of=("pyav", "torchcodec", "decord", "torchvision"), on_resume="free")
key("DATA.IMAGE_TEMPLATE", "{:05d}.jpg",
    'file names in a folder of pictures, which counts as a video: "img_{:05d}.png"')
key("DATA.IMAGE_BASE", None, "number of the first picture, 0 or 1; None = the smallest there is", of=int,
    may_be_none=True, one_of=(None, 0, 1))
key("DATA.DECODE_SHORT_SIDE", 0,
    "reduce larger frames to this short side while decoding: faster, other pixels; 0 = exact", at_least=0,
    of_clips=True)
key("DATA.MAX_FRAME_MEGAPIXELS", 36.0,
    "a video or picture with larger frames is unreadable; 8K has 33; a decoder needs some 20 bytes per pixel",
    of="number", above=0, on_resume="free")
key("DATA.MAX_DECODED_GB", 2.0,
    "a video whose clips together need frames of more 10^9 bytes is unreadable: width x height x 3 x frames at "
    "DECODE_SHORT_SIDE; per reading process", of="number", above=0, on_resume="free")
key("DATA.CACHE_DIR", "",
    'folder for decoded frames (at DECODE_SHORT_SIDE): later epochs read instead of decoding; "" = none',
    on_resume="free", path=True)
key("DATA.CACHE_GB", 50.0, "the cache takes at most this; what comes later is decoded every time", of="number", above=0,
    on_resume="free")
key("DATA.MAX_BAD_FRACTION", 0.2,
    "stop when more of an epoch's videos are unreadable; up to there others of their class replace them", of="number",
    at_least=0, at_most=1, on_resume="free")
key("DATA.TRANSFORM_ON", "cpu",
    "what makes clips of decoded frames (resize, crop, enhancement, gamma, colours, flip): cpu = workers | device = "
    "the model's device, which gets the frames | auto = device on a GPU where a video's frames have at most twice the "
    "bytes of its clips, else cpu", one_of=("auto", "cpu", "device"), on_resume="free")
key("DATA.CLIP_DTYPE", "uint8",
    "uint8 | float32: float32 keeps the unrounded pixels of a resize, as published; four times the bytes",
    one_of=("uint8", "float32"), of_clips=True)
key("DATA.MEAN", [0.45, 0.45, 0.45],
    "per channel, of pixels in 0..1, RGB; or a name: imagenet | kinetics | arid | arid_v15 | infar", named=PIXEL_MEANS,
    of_clips=True)
key("DATA.STD", [0.225, 0.225, 0.225], "as MEAN", named=PIXEL_STDS, above=0, of_clips=True)
key("DATA.DARKEN", [],
    "darken training clips as a camera in the dark would record them, before ENHANCE and GAMMA: range of the exposure "
    "in linear light, [0.005, 0.1] makes lit videos as dark as ARID's; [] = as they are", of=float, above=0, at_most=1,
    sizes=(0, 2), rising=True, form="be [] (none) or [smallest, largest]")
key("DATA.DARKEN_VAL", False,
    "darken validation clips too, each in the same way every time: where these are lit and a test is dark, so that the "
    "best epoch is the best in the dark")
key("DATA.DARKEN_SHARE", 1.0, "of the clips that are darkened", at_least=0, at_most=1)
key("DATA.DARKEN_NOISE", [1e-5, 1e-3],
    "variance of a sensor's shot noise per unit of signal, a range; its read noise follows from it; [] = no noise",
    of=float, above=0, at_most=0.1, sizes=(0, 2), rising=True, form="be [] (none) or [smallest, largest]")
key("DATA.DARKEN_COLOR", 0.15, "the dark's light is redder or bluer by up to this share", at_least=0, at_most=0.9)
key("DATA.DARKEN_BLOCKING", [0.0, 8.0],
    "step, of 255, that cosine coefficients of 8x8 blocks are rounded to, a range: as a strong compression does; "
    "[0, 0] = none", of=float, at_least=0, at_most=255, sizes=(2,), rising=True, form="be [smallest, largest]")
key("DATA.GAMMA", [],
    "255 * (pixel / 255) ** (1 / gamma): [] none | [3] fixed | [1, 5] drawn per training clip; a test takes the "
    "middle", of=float, above=0, sizes=(0, 1, 2), rising=True, form="be [] (none), [gamma] or [smallest, largest]",
    of_clips=True)
key("DATA.GAMMA_IN", "both",
    "where it is applied: both | train | test (with validation); MEAN and STD are those of pixels after it",
    one_of=("both", "train", "test"), of_clips=True)
key("DATA.ENHANCE", "none",
    "before gamma: none | equalize | clahe: histogram equalisation of the brightness, one curve per clip | "
    "standardize: gray, of mean 0.502 and deviation 0.188 | retinex: multi-scale, 15, 80, 250 pixels | dehaze: of the "
    "inverted picture",
    one_of=ENHANCEMENTS, of_clips=True)
key("DATA.TRANSFORMS", [],
    "what else is done to training clips, in this order, by name: reverse_half, or what a plug-in registers", of=str)
key("DATA.INPUT_CHANNEL_NUM", [3, 3], "channels of a clip, one number per pathway; only the first counts here", above=0,
    needed="the channels of a clip, [3]", of_clips=True)
key("DATA.REVERSE_INPUT_CHANNEL", False, "hand BGR to the model", of_clips=True)
key("DATA.TRAIN_CROP_SIZE", 224, "side of a training crop", above=0)
key("DATA.TEST_CROP_SIZE", 256, "side of a validation or test crop", above=0, of_clips=True)
key("DATA.CROP_ROUNDING", "up",
    "whole pixels of a resize and of test crops: up (SlowFast, UniFormer; reaches both borders), or as published: "
    "mmaction (MMAction2, ELLAR) | tsn (TSN, MIE-Net; three crops from left to right, also of upright frames)",
    one_of=("up", "mmaction", "tsn"), of_clips=True)
key("DATA.TRAIN_JITTER_SCALES", [256, 320], "range of the short side before the random crop", above=0, sizes=(2,),
    rising=True, form="be [smallest, largest]")
key("DATA.TRAIN_JITTER_FPS", 0.0,
    "dense training clips at a random rate: so many frames per second at most above TARGET_FPS, over which a clip is "
    "shorter; 0 = none", at_least=0)
key("DATA.TRAIN_JITTER_MOTION_SHIFT", False,
    "the box of a random resized crop moves over the clip from one drawn place and size to another, as a camera does")
key("DATA.INV_UNIFORM_SAMPLE", False, "draw 1 / short side uniformly instead of the short side")
key("DATA.TRAIN_SHORT_SIDE", 0,
    "short side that frames get before a random resized crop, as mmaction2 does; 0 = crop them as they are", at_least=0)
key("DATA.TRAIN_JITTER_SCALES_RELATIVE", [],
    "area range of a random resized crop, [0.08, 1.0]; [] = short-side jitter + crop", of=float, above=0, sizes=(0, 2),
    rising=True, form="be [smallest, largest] or []")
key("DATA.TRAIN_JITTER_ASPECT_RELATIVE", [], "width / height range of a random resized crop, [0.75, 1.3333]", of=float,
    above=0, sizes=(0, 2), rising=True, form="be [smallest, largest] or []")
key("DATA.TRAIN_MULTI_SCALE", [],
    "TSN's multi-scale crop: box sides / short side, [1, 0.875, 0.75, 0.66]; [] = the crops above", of=float, above=0,
    at_most=1)
key("DATA.RANDOM_FLIP", True, "mirror half of the training clips; False where left and right matter")
key("DATA.MULTI_LABEL", False,
    'True: a video may have several labels, "path 3,7"; needs MODEL.LOSS_FUNC bce_logit, reports mAP')
key("DATA.ENSEMBLE_METHOD", "sum", "scores of a video from those of its views: sum | mean | max",
    one_of=("sum", "mean", "max"), on_resume="free")

key("DATA_LOADER.NUM_WORKERS", 8, "reading processes per GPU process; 0 = read in the main process", at_least=0,
    on_resume="free")
key("DATA_LOADER.TIMEOUT", 300.0,
    "seconds that a reading process may take for a video, stopped or hanging, before the run ends", above=0,
    on_resume="free")
key("DATA_LOADER.PIN_MEMORY", True, "page-locked batches: faster to the GPU", on_resume="free")
key("DATA_LOADER.ENABLE_MULTI_THREAD_DECODE", False, "let FFmpeg use threads; workers are the better parallelism",
    on_resume="free")

key("DEMO_SET.SEED", 0, "the demo set follows from it", at_least=0)
key("DEMO_SET.VIDEOS_PER_CLASS", 40, "training videos per class", above=0)
key("DEMO_SET.TEST_VIDEOS_PER_CLASS", 15, "test videos per class", above=0)
key("DEMO_SET.NUM_FRAMES", 48, "frames of a video", at_least=2)
key("DEMO_SET.HEIGHT", 96, "of a frame, pixels", at_least=32)
key("DEMO_SET.WIDTH", 128, "of a frame, pixels", at_least=32)
key("DEMO_SET.EXPOSURES", [],
    "mean luma 0..1 that videos have in turn, a lamp stays white; [] = each its own, 0.03 to 0.13, no lamp", of=float,
    above=0, below=1)
key("DEMO_SET.THERMAL", False,
    "True: the scenes of the set as an infrared camera sees them; with DATA.THERMAL_PATH_TO_DATA_DIR that folder has "
    "these, whatever is said here")

key("AUG.ENABLE", False, "RandAugment, colour jitter and random erasing of training clips")
key("AUG.ORDER", "crop_first",
    "crop_first: RandAugment works on the crop, fast | published: on the decoded frames, then crop",
    one_of=("crop_first", "published"))
key("AUG.NUM_SAMPLE", 1,
    "differently augmented copies of a decoded clip; a step then sees BATCH_SIZE * NUM_SAMPLE clips", above=0)
key("AUG.SAMPLE_TIME", "auto",
    "the NUM_SAMPLE copies show: same (the same frames) | own (each a clip of its own, at another time); auto = own "
    "with TRAIN.OBJECTIVE contrastive, else same",
    one_of=("auto", "same", "own"))
key("AUG.AA_TYPE", "rand-m9-mstd0.5-inc1", "RandAugment in timm's notation; \"\" = none")
key("AUG.INTERPOLATION", "bicubic",
    "of RandAugment's geometric operations: bicubic | bilinear | random (one of both per operation)",
    one_of=("bicubic", "bilinear", "random"))
key("AUG.BRI_CON_SAT", [], "colour jitter: reach of brightness, contrast and saturation, [0.4, 0.4, 0.4]; [] = none",
    of=float, at_least=0, sizes=(0, 3), form="be [] or [brightness, contrast, saturation]")
key("AUG.HUE", 0.0, "colour jitter: largest turn of the hue, up to 0.5 of the colour circle", at_least=0, at_most=0.5)
key("AUG.RE_PROB", 0.25, "probability of random erasing", at_least=0, at_most=1)
key("AUG.RE_MODE", "pixel",
    "what fills an erased box: pixel (noise per pixel) | rand (one colour per frame) | const (0, the mean colour)",
    one_of=("pixel", "rand", "const"))
key("AUG.RE_COUNT", 1, "most erased boxes per clip; their number is drawn from 1 up to it", above=0)

key("LOSS.LABEL_SMOOTHING", 0.0, "share of a label spread over all classes; mixup has its own key", at_least=0, below=1)
key("LOSS.CLASS_WEIGHTS", [],
    "how much the clips of each class count; [] = all alike; auto (kept as [0.0]) = 1 / videos of the class in the "
    "training list, scaled to mean 1", of=float, named={"auto": AUTO_WEIGHTS}, at_least=0)
key("LOSS.SUPCON", 0.0,
    "weight of a supervised contrastive term beside the loss (Khosla et al. 2020): clips of one class look alike, over "
    "both streams of DualStream or AUG.NUM_SAMPLE copies, and all processes; 0 = none", at_least=0)
key("LOSS.SUPCON_TEMPERATURE", 0.1, "what cosines are divided by; 0.07 to 0.1 is usual", above=0)
key("LOSS.SUPCON_WIDTH", 512, "hidden width of the projector behind the pooled features; ours", above=0)
key("LOSS.SUPCON_DIM", 128, "width of the vectors that are compared", above=0)
key("LOSS.EACH_STREAM", 0.0,
    "weight of the loss of each stream of DualStream alone beside that of both, whose networks run once: either stream "
    "then does without the other; ours; 0 = none", at_least=0)
key("LOSS.SIMILARITY", 1.0,
    "with DARKENER.CHECKPOINT: weight of the loss that makes a clip and its dark copy look alike (BYOL, Grill et al. "
    "2020); the weight is ours; 0 = the classes of both alone", at_least=0)
key("LOSS.SIMILARITY_WIDTH", 512, "hidden width of the predictor behind the pooled features; ours", above=0)
key("LOSS.SIMILARITY_EMA", 0.99,
    "decay, per optimiser step, of the moving average of the network that is the target; ours (BYOL: 0.996 over "
    "hundreds of epochs)", at_least=0, below=1)
key("LOSS.FOCAL_GAMMA", 2.0, "of MODEL.LOSS_FUNC focal: exponent that makes easy clips count less", at_least=0)

key("MIXUP.ENABLE", False, "mixup, cutmix and label smoothing")
key("MIXUP.TYPE", "mixup",
    "mixup (with cutmix, the keys below) | svmix: a mixer that learns, SVMIX.* and LABEL_SMOOTH_VALUE",
    one_of=("mixup", "svmix"))
key("MIXUP.ALPHA", 0.8, "Beta(ALPHA, ALPHA) of mixup; 0 = no mixup", at_least=0)
key("MIXUP.CUTMIX_ALPHA", 1.0, "Beta(ALPHA, ALPHA) of cutmix; 0 = no cutmix", at_least=0)
key("MIXUP.PROB", 1.0, "probability that a batch is mixed", at_least=0, at_most=1)
key("MIXUP.SWITCH_PROB", 0.5, "probability of cutmix where both are on", at_least=0, at_most=1)
key("MIXUP.LABEL_SMOOTH_VALUE", 0.1, "label smoothing", at_least=0, at_most=1)

key("SVMIX.SPATIAL_PROB", 0.5, "probability that a step mixes places within frames; else it mixes whole frames",
    at_least=0, at_most=1)
key("SVMIX.ALPHA_SPATIAL", 1.0, "Beta(a, a) of the clip's own share, in steps that mix places", above=0)
key("SVMIX.ALPHA_TEMPORAL", 0.8, "the same in steps that mix frames", above=0)
key("SVMIX.PROB", 1.0, "probability that the student sees mixed clips; the mixer learns in every step", at_least=0,
    at_most=1)
key("SVMIX.LAM_MARGIN", 0.08, "shares this close to 0 or 1 mix evenly", at_least=0, below=1)
key("SVMIX.MASK_LOSS", 0.1, "weight of the loss that holds the mixer's mean share near the drawn one", at_least=0)
key("SVMIX.MASK_MARGIN", 0.1, "how far it may be off", at_least=0)
key("SVMIX.EMA", 0.999, "decay of the teacher, the moving average of the student, per optimiser step", at_least=0,
    below=1)
key("SVMIX.TEACHER_BATCH_STATS", True,
    "the teacher's BatchNorms use the batch's statistics, as published; its dropout is always off")
key("SVMIX.EVAL", "teacher", "who is validated and tested: teacher | student", one_of=("teacher", "student"))
key("SVMIX.MODULE_DIM", 0, "width of the mixer's questions; 0 = that of the feature map", at_least=0)
key("SVMIX.MODULE_OPT", "sgd", "the mixer's optimiser: sgd (momentum 0.9) | adam | adamw",
    one_of=("sgd", "adam", "adamw"))
key("SVMIX.MODULE_LR", 0.02, "the mixer's highest learning rate", above=0)
key("SVMIX.LR_SCHEDULED", True,
    "it follows the student's schedule, scaled to MODULE_LR / SOLVER.BASE_LR; False: constant")
key("SVMIX.MODULE_WD", 1e-4, "the mixer's weight decay", at_least=0)
key("SVMIX.MODULE_CLIP", 20.0,
    "largest L2 norm of the mixer's gradients, apart from SOLVER.CLIP_GRADIENT; 0 = no clipping", at_least=0)

key("DISTILL.CHECKPOINT", "", 'a trained model of this project that teaches; "" = nobody', path=True)
key("DISTILL.ALPHA", 0.5, "weight of the teacher's probabilities; 1 - ALPHA is that of the labels", at_least=0,
    at_most=1)
key("DISTILL.TEMPERATURE", 4.0, "softens both probabilities", above=0)
key("DISTILL.INPUT", "dark",
    "the teacher sees: dark (the student's clips) | enhanced (brightened by the teacher's DATA.ENHANCE and GAMMA)",
    one_of=("dark", "enhanced"))

key("DARKENER.CHECKPOINT", "",
    'a checkpoint of TRAIN.OBJECTIVE darkener: classification then trains on every clip and on a dark copy by it, see '
    'LOSS.SIMILARITY; "" = no copies', path=True)
key("DARKENER.EXPOSURE", [0.0, 0.2],
    "mean brightness 0..1 of dark copies, a range to draw from evenly, one level for a clip (Similarity min-max, "
    "arXiv 2307.08779)", of=float, at_least=0, at_most=1, sizes=(2,), rising=True, form="be [smallest, largest]")
key("DARKENER.PIXEL_NOISE", 0.025, "deviation of the wanted brightness in every pixel and frame; source's", at_least=0,
    at_most=0.5)
key("DARKENER.PATCH_NOISE", 0.025, "the same, of patches, smooth between them and for all frames; source's", at_least=0,
    at_most=0.5)
key("DARKENER.PATCH", 16, "rows and columns of a patch, also of those whose brightness is held; source's", above=0)
key("DARKENER.WIDTH", 32, "TRAIN.OBJECTIVE darkener: channels of its network; Zero-DCE 32", above=0)
key("DARKENER.ITERATIONS", 8, "its curves, one after the other; Zero-DCE 8", above=0)
key("DARKENER.SCALE", 1, "its network sees frames so many times smaller; 1 = whole frames, as Zero-DCE; ours", above=0)
key("DARKENER.SIMILARITY_WEIGHT", 1.0,
    "weight of the similarity of features that is made small; the source's four weights could not be read: this one is "
    "ours", at_least=0)
key("DARKENER.EXPOSURE_WEIGHT", 10.0, "of the difference from the wanted brightness; Zero-DCE's", at_least=0)
key("DARKENER.SMOOTHNESS_WEIGHT", 200.0, "of the total variation of the curves; Zero-DCE's", at_least=0)
key("DARKENER.COLOR_WEIGHT", 5.0, "of the differences of the colours' means; Zero-DCE's", at_least=0)

key("PRETRAIN.MASK_RATIO", 0.75, "TRAIN.OBJECTIVE masked: share of a clip's tubes that is hidden; VideoMAE 0.75 .. 0.9",
    above=0, below=1)
key("PRETRAIN.TUBE_SIZE", 16, "rows and columns of a tube, which is hidden through all frames of a clip", above=0)
key("PRETRAIN.NORMALIZE_TARGETS", True,
    "hidden patches are compared without brightness and contrast: mean 0, variance 1 in every patch and colour")
key("PRETRAIN.DECODER_DEPTH", 4, "blocks of the decoder that paints hidden pixels; 0 = one linear layer, as SimMIM",
    at_least=0)
key("PRETRAIN.DECODER_WIDTH", 384, "width of these blocks", at_least=6)
key("PRETRAIN.TEMPERATURE", 0.1, "TRAIN.OBJECTIVE contrastive: what the cosines of clips are divided by", above=0)
key("PRETRAIN.PROJECTOR_WIDTH", 512, "hidden width of the projector behind the pooled features", above=0)
key("PRETRAIN.PROJECTOR_DIM", 128, "width of the vectors that are compared", above=0)

key("FIGURE.JOINTS_WEIGHT", 0.3,
    "TRAIN.OBJECTIVE figure: weight of the loss that tells in which cell of a feature map each joint is", at_least=0)
key("FIGURE.MOTION_WEIGHT", 2.0, "and of the one that tells how the figure moves", at_least=0)
key("FIGURE.LAYER", "",
    'part of the network whose feature map the joints are looked for in; "" = the network\'s own choice')

# ---- training
key("TRAIN.ENABLE", True, "run the training stage", on_resume="free")
key("TRAIN.DATASET", "kinetics", "name of the training and validation set in the registry")
key("TRAIN.OBJECTIVE", "",
    'what a step minimises; "" = classify, distill or svmix, as MIXUP and DISTILL say; masked | contrastive: '
    "pre-training without labels; darkener: a network that darkens clips, against a trained one; figure: classes, and "
    "where the joints of drawn figures are; or the name of a plug-in's")
key("TRAIN.BATCH_SIZE", 64, "videos of a batch on this machine, all its GPUs together", above=0)
key("TRAIN.SAMPLER", "none",
    "videos of an epoch: none (each once) | balanced (each class as often) | sqrt (each class by the root of its "
    "number); as many as the list has, rare classes again and again",
    one_of=("none", "balanced", "sqrt"))
key("TRAIN.ACCUM_STEPS", 1, "batches whose gradients are added up for one optimiser step", above=0)
key("TRAIN.PRECISION", "auto",
    "autocast of the forward pass: auto (bf16 on CUDA, fp32 on the CPU) | bf16 | fp16 | fp32", one_of=_PRECISIONS)
key("TRAIN.CHANNELS_LAST", True, "memory format channels_last_3d: same numbers, faster convolutions", on_resume="free")
key("TRAIN.COMPILE", False,
    "torch.compile what a training step does; validation and tests run as written, since their batches have many sizes",
    on_resume="free")
key("TRAIN.EVAL_PERIOD", 10, "validate every so many epochs, and after the last", above=0, on_resume="free")
key("TRAIN.CHECKPOINT_PERIOD", 10, "save every so many epochs, and after the last", above=0, on_resume="free")
key("TRAIN.SAVE_EVERY_STEPS", 0,
    "save also every so many optimiser steps, the last two of these are kept; 0 = only after epochs", at_least=0,
    on_resume="free")
key("TRAIN.KEEP_LAST", 0,
    "keep so many checkpoints of whole epochs, the newest; 0 = all; 2 or more leave one should the newest be damaged",
    at_least=0, on_resume="free")
key("TRAIN.KEEP_BEST", 0,
    "keep the weights of so many best validated epochs, checkpoints/best_epoch_<n>.pyth; 0 = best.pyth alone",
    at_least=0, on_resume="free")
key("TRAIN.EARLY_STOP", 0,
    "end the training when so many validations in a row were not better than the best; 0 = at SOLVER.MAX_EPOCH",
    at_least=0, on_resume="free")
key("TRAIN.REQUEUE", False, "put the SLURM job back into the queue when SIGUSR1 or SIGTERM has ended it",
    on_resume="free")
key("TRAIN.SHARDING", "none",
    "none: every process holds the whole model | fsdp: weights, gradients, optimiser spread over all (FSDP2)",
    one_of=("none", "fsdp"), on_resume="free")
key("TRAIN.AUTO_RESUME", True, "go on from the newest file in OUTPUT_DIR/checkpoints; wins over CHECKPOINT_FILE_PATH",
    on_resume="free")
key("TRAIN.CHECKPOINT_FILE_PATH", "",
    "checkpoint to start from, a file, an address or the name of a published file, with optimiser and epoch unless "
    "CHECKPOINT_EPOCH_RESET",
    on_resume="free", path=True)
key("TRAIN.CHECKPOINT_EPOCH_RESET", False, "take only the weights of CHECKPOINT_FILE_PATH: fine-tuning",
    on_resume="free")
key("TRAIN.CHECKPOINT_INFLATE", False, "CHECKPOINT_FILE_PATH holds an image model: inflate its convolutions over time",
    on_resume="free")
key("TRAIN.CHECKPOINT_CLEAR_NAME_PATTERN", [], "pieces of text to delete from the key names of any file of weights",
    of=str, on_resume="free")
key("TRAIN.MAX_BAD_STEPS", 10, "stop after so many steps in a row with a non-finite loss", above=0, on_resume="free")

key("TRAIN.KILL_LOSS_EXPLOSION_FACTOR", 0.0,
    "stop when the loss of a step is above so many times the mean of the five before; 0 = never", at_least=0,
    on_resume="free")

key("TRAIN.EMA.ENABLE", False, "keep a moving average of the weights")
key("TRAIN.EMA.DECAY", 0.9999, "of the average, per optimiser step", at_least=0, below=1)
key("TRAIN.EMA.EVAL", "ema", "which weights pick the best epoch and are tested: ema | raw; validation scores both",
    one_of=("ema", "raw"))

key("SOLVER.OPTIMIZING_METHOD", "sgd", "sgd | adam | adamw", one_of=("sgd", "adam", "adamw"))
key("SOLVER.BASE_LR", 0.1, "highest learning rate", above=0)
key("SOLVER.BASE_LR_SCALE_NUM_SHARDS", False, "multiply the learning rates by NUM_SHARDS")
key("SOLVER.AUTO_SCALE_LR", False,
    "multiply the learning rates by the clips of a step (all processes, ACCUM_STEPS) / REFERENCE_BATCH")
key("SOLVER.REFERENCE_BATCH", 0, "clips per step that the learning rates are meant for; 0 = not known", at_least=0)
key("SOLVER.LR_POLICY", "cosine",
    "cosine | steps_with_relative_lrs | warmup_times_steps: by epoch, as mmaction2 trains",
    one_of=("cosine", "steps_with_relative_lrs", "warmup_times_steps"))
key("SOLVER.COSINE_END_LR", 0.0, "learning rate at MAX_EPOCH", at_least=0)
key("SOLVER.COSINE_AFTER_WARMUP", False, "the cosine starts at WARMUP_EPOCHS; False: at 0, so that its top is cut off")
key("SOLVER.STEPS", [], "epochs at which a step begins, the first is 0", of="number", at_least=0)
key("SOLVER.LRS", [], "learning rate of each step / BASE_LR", of=float, at_least=0)
key("SOLVER.MAX_EPOCH", 300, "epochs of the run", above=0, on_resume="rises")
key("SOLVER.WARMUP_EPOCHS", 0.0, "epochs of linear warm-up", at_least=0)
key("SOLVER.WARMUP_START_LR", 0.01, "learning rate at the start of the warm-up", at_least=0)
key("SOLVER.WEIGHT_DECAY", 1e-4, "of all parameters but those of the next key and BN.WEIGHT_DECAY", at_least=0)
key("SOLVER.ZERO_WD_1D_PARAM", False, "no weight decay for vectors: biases, norms, scales")
key("SOLVER.CLIP_GRADIENT", 20, "largest L2 norm of all gradients together; None or 0 = no clipping", of="number",
    may_be_none=True, at_least=0)
key("SOLVER.CLIP_GRAD_VAL", None,
    "largest size of each number of a gradient; takes the place of CLIP_GRADIENT; None or 0 = no clipping by value",
    of="number", may_be_none=True, at_least=0)
key("SOLVER.LAYER_DECAY", 1.0,
    "fine-tuning: the learning rate of a layer / that of the layer above it; head and last norm have the full rate",
    above=0, at_most=1)
key("SOLVER.HEAD_LR_FACTOR", 1.0,
    "learning rate of the classifier / what it would be without this key: a new head on trained weights may learn "
    "faster, 10", above=0)
key("SOLVER.MOMENTUM", 0.9, "of sgd", at_least=0)
key("SOLVER.DAMPENING", 0.0, "of sgd", at_least=0)
key("SOLVER.NESTEROV", True, "of sgd")
key("SOLVER.BETAS", [0.9, 0.999], "of adam and adamw", at_least=0, below=1, sizes=(2,), form="be two numbers")

key("BN.WEIGHT_DECAY", 0.0, "weight decay of BatchNorm parameters", at_least=0)
key("BN.NORM_TYPE", "batchnorm", "batchnorm | sync_batchnorm: statistics over the batches of all GPUs together",
    one_of=("batchnorm", "sync_batchnorm"))
key("BN.USE_PRECISE_STATS", False, "measure BatchNorm statistics anew before saving and validating")
key("BN.NUM_BATCHES_PRECISE", 200, "batches of that measurement", above=0)
key("BN.ADAPT_LIST", "",
    "list of videos, labels in it are not read: before a test BatchNorm statistics are measured on them and written to "
    'OUTPUT_DIR/checkpoints/adapted.pyth; relative to PATH_TO_DATA_DIR; "" = the statistics of the weights',
    on_resume="free", path=True)
key("BN.ADAPT_PRIOR", 0.0,
    "so many clips of ADAPT_LIST the statistics of the weights count for; 0 = those of the list alone, ours; Schneider "
    "et al. 2020 mix n / (n + PRIOR) for n images", at_least=0, on_resume="free")

# ---- test
key("TEST.ENABLE", True, "run the test stage", on_resume="free")
key("TEST.DATASET", "kinetics", "name of the test set in the registry", on_resume="free")
key("TEST.BATCH_SIZE", 8, "views (clips) per forward pass", above=0, on_resume="free")
key("TEST.CHECKPOINT_FILE_PATH", "",
    'weights to test, file, address or name of a published file; "" = the newest in OUTPUT_DIR, then '
    "TRAIN.CHECKPOINT_FILE_PATH, else an error",
    on_resume="free", path=True)
key("TEST.TEST_BEST", False, "test the best checkpoint of OUTPUT_DIR instead of the newest", on_resume="free")
key("TEST.SELECT_ON", "val",
    "what the best epoch is picked on: val | test (the test list itself: optimistic, and every output says so)",
    one_of=("val", "test"))
key("TEST.ALLOW_MISSING", False, "exit code 0 although test videos were unreadable and have no scores",
    on_resume="free")
key("TEST.ALLOW_PARTIAL_LOAD", False, "test even if the checkpoint lacks some weights of the model", on_resume="free")
key("TEST.NUM_ENSEMBLE_VIEWS", 10, "clips over the length of a video", above=0, on_resume="free")
key("TEST.NUM_TEMPORAL_CLIPS", [],
    "several numbers of clips in one test, [1, 4, 10], each reported from one scoring of all; [] = NUM_ENSEMBLE_VIEWS",
    of=int, above=0, on_resume="free")
key("TEST.NUM_SPATIAL_CROPS", 3, "crops of each clip: 1 = centre, 3 = both ends of the long side and the centre",
    one_of=(1, 3), on_resume="free")
key("TEST.SHORT_SIDE", 0, "short side before the crop; 0 = TEST_CROP_SIZE", at_least=0, of_clips=True)
key("TEST.ENSEMBLE_SPACE", "logits",
    "what DATA.ENSEMBLE_METHOD combines: logits (as UniFormer publishes) | softmax | relu | sigmoid",
    one_of=("logits", "softmax", "relu", "sigmoid"))
key("TEST.PRECISION", "fp32", "autocast of the forward pass: auto | bf16 | fp16 | fp32", one_of=_PRECISIONS)
key("TEST.MODALITY", "both",
    "streams of pairs (DATA.COLOR_PATH_TO_DATA_DIR) that a test has: both | color | thermal; the other list and its "
    "videos are not needed then", one_of=("both", "color", "thermal"), on_resume="free")
key("TEST.NUM_PARTS", 1,
    "parts of the test list, each tested by a run of its own (a job array); tools/ensemble.py puts them together",
    above=0, on_resume="free")
key("TEST.PART", 0, "which of them this run tests, from 0; it writes scores.<PART>-of-<NUM_PARTS>.npz", at_least=0,
    on_resume="free")
key("TEST.ADAPT", "none",
    "to each test video, without its label: none | bn (BatchNorm statistics of its own views) | vitta (a step towards "
    "the statistics that norm layers had in training, Lin et al. 2023)", one_of=("none", "bn", "vitta"),
    on_resume="free")
key("TEST.ADAPT_MODE", "episodic",
    "episodic: every video begins with the weights of the checkpoint | online: with what the one before it has left, "
    "in the order of the list, of each process", one_of=("episodic", "online"), on_resume="free")
key("TEST.ADAPT_PRIOR", 16.0,
    "bn: so many views the statistics of the weights count for; 0 = the video's alone; 16 is in the range that "
    "Schneider et al. 2020 try, for images", at_least=0, on_resume="free")
key("TEST.ADAPT_STATISTICS", "",
    'vitta: file of the training statistics; "" = measure them on the training list first, and write '
    "OUTPUT_DIR/norm_statistics.npz", on_resume="free", path=True)
key("TEST.ADAPT_LAYERS", 0.5,
    "vitta: share of the norm layers, from the last; published: the last two of four stages", above=0, at_most=1,
    on_resume="free")
key("TEST.ADAPT_LR", 5e-5, "vitta: of its step; published 5e-5 (TANet), 1e-5 (Swin)", above=0, on_resume="free")
key("TEST.ADAPT_MOMENTUM", 0.1,
    "vitta online: share of a video in the moving statistics; published 0.1 (TANet), 0.05 (Swin)", above=0, at_most=1,
    on_resume="free")
key("TEST.ADAPT_CONSISTENCY", 0.1,
    "vitta: weight of the difference between the views; published 0.1 (TANet), 0.05 (Swin)", at_least=0,
    on_resume="free")
key("TEST.ADAPT_VIEWS", 2, "vitta: views of the video that the step looks at; published 2", above=0, on_resume="free")
key("TEST.SAVE_RESULTS_PATH", "", 'file name under OUTPUT_DIR for a pickle [scores, labels]; "" = none',
    on_resume="free", path=True)

# ---- frozen features
key("FEATURES.NETWORK", "resnet50",
    "image classifier of torchvision for single frames, or timm/NAME; clips go through MODEL.MODEL_NAME",
    on_resume="free")
key("FEATURES.WEIGHTS", "DEFAULT",
    "of NETWORK: a name of torchvision (IMAGENET1K_V1), a tag of timm (in1k), random, or a file",
    on_resume="free", path=True)
key("FEATURES.OUTPUT", "pooled", "pooled (what the last layer sees) | logits", one_of=("pooled", "logits"),
    on_resume="free")
key("FEATURES.SAMPLING", "interval",
    "frames of a video: interval (every INTERVAL-th) | random (NUM_FRAMES of them) | those of one test clip of "
    "NUM_FRAMES: a name of DATA.SAMPLING",
    one_of=("interval", "random", "uniform", "dense", "sparse", "segment", "segment_dense", "mmaction"),
    on_resume="free")
key("FEATURES.INTERVAL", 2, "step between two frames: interval, dense, mmaction", above=0, on_resume="free")
key("FEATURES.NUM_FRAMES", 5, "frames of a video with all but interval; random: all where it has fewer", above=0,
    on_resume="free")
key("FEATURES.CACHE_DIR", "", 'folder of the features of single videos; "" = OUTPUT_DIR/features',
    on_resume="free", path=True)
key("FEATURES.CLASSIFIERS", ["svc_linear", "random_forest", "two_layer"], "and svc_rbf, logistic_regression, knn",
    needed="at least one", on_resume="free")
key("FEATURES.SEEDS", [42], "one run of every classifier with randomness for each", at_least=0, at_most=2**32 - 1,
    needed="at least one", on_resume="free")
key("FEATURES.STANDARDIZE", False, "every feature to mean 0 and deviation 1 of the training videos", on_resume="free")
key("FEATURES.TUNE", False,
    "choose hyper-parameters by cross-validation inside the training list (TEST.SELECT_ON val), or on the test list",
    on_resume="free")
key("FEATURES.FOLDS", 5, "of the cross-validation", at_least=2, on_resume="free")
key("FEATURES.LR_RULE", "step", "two_layer's published learning-rate rule counts step | epoch; or constant",
    one_of=("step", "epoch", "constant"), on_resume="free")

# ---- probes of frozen tokens
key("PROBE.GRID", 0,
    "rows and columns of tokens at most: larger feature maps are averaged to so many; 0 = every place is a token",
    at_least=0)
key("PROBE.NUM_HEADS", 16, "of the attention; a divisor of its width; published: 16 (V-JEPA)", above=0)
key("PROBE.WIDTH", 0, "of the attention's keys and values; 0 = the width of the tokens, as published", at_least=0)
key("PROBE.LRS", [0.00003, 0.0001, 0.0003, 0.001, 0.003],
    "learning rates that are trained at once, chosen by FEATURES.FOLDS of the training list", above=0,
    needed="at least one", on_resume="free")
key("PROBE.WEIGHT_DECAYS", [0.01, 0.4], "the same for AdamW's weight decay; every pair is tried", at_least=0,
    needed="at least one", on_resume="free")
key("PROBE.EPOCHS", 20, "of a probe; the learning rate falls along half a cosine; published: 20 (V-JEPA)", above=0,
    on_resume="free")
key("PROBE.VIEWS_PER_STEP", 16, "of a step", above=0, on_resume="free")
key("PROBE.MEMORY_GB", 4.0, "tokens that are kept in memory; what is more is read from the cache at every use",
    at_least=0, on_resume="free")

key("TENSORBOARD.ENABLE", False, "write training curves for TensorBoard", on_resume="free")
key("TENSORBOARD.LOG_DIR", "", 'relative to OUTPUT_DIR; "" = runs-<TRAIN.DATASET>', on_resume="free", path=True)

key("TENSORBOARD.CLASS_NAMES_PATH", "",
    'JSON file {"class": number}, for the pictures of TensorBoard; "" = the names of the list', on_resume="free",
    path=True)
key("TENSORBOARD.CATEGORIES_PATH", "",
    'JSON file {"category": ["class", ...]}: a confusion matrix of each category; "" = none', on_resume="free",
    path=True)
key("TENSORBOARD.CONFUSION_MATRIX.ENABLE", False, "confusion matrix of every validation, not of the test alone",
    on_resume="free")
key("TENSORBOARD.CONFUSION_MATRIX.FIGSIZE", [8, 8], "of it, 80 pixels each: the smaller counts, it is square", above=0,
    sizes=(2,), form="have 2 values", on_resume="free")
key("TENSORBOARD.CONFUSION_MATRIX.SUBSET_PATH", "", "file with a class per line: a second matrix of these classes",
    on_resume="free", path=True)
key("TENSORBOARD.HISTOGRAM.ENABLE", False,
    "what the videos of each class are most often taken for, at every validation",
    on_resume="free")
key("TENSORBOARD.HISTOGRAM.SUBSET_PATH", "", 'file with a class per line, of those that are drawn; "" = all',
    on_resume="free", path=True)
key("TENSORBOARD.HISTOGRAM.TOPK", 10, "bars of each of them", above=0, on_resume="free")
key("TENSORBOARD.HISTOGRAM.FIGSIZE", [8, 8], "width and height, 80 pixels each", above=0, sizes=(2,),
    form="have 2 values", on_resume="free")

key("DIST.TIMEOUT", 600.0,
    "seconds that a process waits for another, at the start and in every exchange, before the run ends", above=0,
    on_resume="free")
key("DIST.GRADIENT_COMPRESSION", "none",
    "none | bf16: half the bytes between the processes, gradients rounded to 8 bits of mantissa",
    one_of=("none", "bf16"))

# fmt: on


def default_cfg() -> CfgNode:
    """A fresh tree of defaults."""
    tree = CfgNode()
    for declared in KEYS.values():
        *blocks, name = declared.name.split(".")
        node = tree
        for block in blocks:
            node = node.setdefault(block, CfgNode())
        node[name] = copy.deepcopy(declared.default)
    return tree


def leaves(node: CfgNode, prefix: str = "") -> dict[str, object]:
    """Values of all keys of a tree by full name: ``{"TRAIN.BATCH_SIZE": 64, ...}``, in the order of this file."""
    flat: dict[str, object] = {}
    for name, value in node.items():
        flat |= leaves(value, f"{prefix}{name}.") if isinstance(value, CfgNode) else {prefix + name: value}
    return flat


def kind_of(name: str, default: object) -> Kind:
    """The kind of values that a key takes; of a name that is not declared, the kind that follows from ``default``."""
    if name in KEYS:
        return KEYS[name].kind
    return Kind(type(default[0]), is_list=True) if isinstance(default, list) else Kind(type(default))
