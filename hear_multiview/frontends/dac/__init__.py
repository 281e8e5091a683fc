"""descript-audio-codec's encoder as a front end: weights, kernels, and streaming in bounded memory."""
