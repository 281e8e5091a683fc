"""Audio before and inside a front end: loudness and the mel scale."""
