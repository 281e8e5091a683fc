"""SONYC-UST-V2, or any data set in its layout: labels, sensor splits, audio."""
