"""What two texts begin with."""


def common_prefix(a: str, b: str) -> str:
    """The longest text that both begin with, found by halving (texts are long, and compared at C speed)."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return a[:low]
