"""The runtime of a model: device, number format, preparation of clips, weights, and the loop that scores videos."""
