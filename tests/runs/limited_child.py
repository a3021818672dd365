"""The real child of a run, which may take so many bytes beside what it has once its libraries are loaded."""

import resource
import sys

import psutil

from rlhf_lab.runs import child

if __name__ == "__main__":
    child.warm_up()
    most = psutil.Process().memory_info().vms + int(sys.argv.pop(1))
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    sys.exit(child.main(sys.argv[1:]))
