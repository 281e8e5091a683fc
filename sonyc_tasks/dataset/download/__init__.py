"""SONYC-UST-V2 from its Zenodo record to a folder."""
