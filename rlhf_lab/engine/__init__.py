"""Training: torch, transformers, peft. One generator per stage; pure tensor maths apart."""

import os

# Read by torch at its first tensor: large ones lie on huge pages, which Linux gives a process that asks. Each pass takes
# its memory anew: a twentieth less of a processor's time at 135M parameters, and less is left behind in holes.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
