"""One video as a row of frames: files, folders of pictures, tensors; decoders and the cache."""
