"""Where the files that come with the lab are: in an installed wheel, else in a checkout."""

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]


def resource(name: str) -> Path:
    """The path of ``resources/NAME`` (a file or a folder); raises `FileNotFoundError` with both places tried."""
    # The checkout comes first: an editable install may carry a stale copy inside the package.
    places = [_PACKAGE.parent / "resources", _PACKAGE / "resources"]
    for place in places:
        if (place / name).exists():
            return place / name
    raise FileNotFoundError(f"resource {name!r} is in none of: {', '.join(map(str, places))}; reinstall rlhf-lab")
