"""The formats that the lab reads, one module per family; see `rlhf_lab.data.detect.FAMILIES` for all of them."""
