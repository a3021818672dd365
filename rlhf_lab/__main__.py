"""``python -m rlhf_lab`` is ``rlhf-lab``."""

from rlhf_lab.cli import main

main()
