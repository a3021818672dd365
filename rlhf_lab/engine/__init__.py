"""Training: torch, transformers, peft. One generator per stage; pure tensor maths apart."""

import os

# Read by oneDNN, and by torch where it calls that for products in bf16: each keeps what it made for the last 1,024 shapes, on
# batches of ever different lengths 290 MB in all. A step needs some 30 at a time.
for _kept in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
    os.environ.setdefault(_kept, "64")
