"""One time-boxed command that measures a GPU: ceilings, tests, training steps, kernels, waiting for the loader."""
