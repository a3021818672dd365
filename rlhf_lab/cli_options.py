"""Options that many commands share."""

from pathlib import Path
from typing import Annotated

import typer

ProjectOption = Annotated[
    Path | None, typer.Option("--project", metavar="DIR", help="The project's folder; it is made if it is not there.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="End standard output with one JSON object.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change a setting; may be repeated.")
]
