"""Published numbers of pixels: weights of the luma; means and deviations by data set, RGB, of pixels in 0..1."""

LUMA_WEIGHTS = (0.299, 0.587, 0.114)  # of red, green, blue: ITU-R BT.601

PIXEL_MEANS = {
    "imagenet": [0.485, 0.456, 0.406],
    "kinetics": [0.45, 0.45, 0.45],
    "arid": [0.079612, 0.073888, 0.072454],  # v1.0, from the authors' code
    "arid_v15": [0.0513135, 0.0454364, 0.0436763],
    "infar": [0.45, 0.45, 0.45],  # nobody published its own: infrared models were trained with the numbers of Kinetics
}
PIXEL_STDS = {
    "imagenet": [0.229, 0.224, 0.225],
    "kinetics": [0.225, 0.225, 0.225],
    "arid": [0.100459, 0.0970497, 0.089911],
    "arid_v15": [0.0790412, 0.0748586, 0.0695390],
    "infar": [0.225, 0.225, 0.225],
}
