"""Run `python -m rlhf_lab.world build` or `python -m rlhf_lab.world measure`."""

from rlhf_lab.world.build import main

if __name__ == "__main__":
    main()
