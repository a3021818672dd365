"""How a person reaches a running stage: commands on the way in, one small object that the stage polls."""

from typing import Annotated, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class _Command(BaseModel):
    """``attempt`` is the start of the run that is meant: an old "stop" cannot stop a new attempt."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    attempt: int


class Pause(_Command):
    """Wait where you are."""

    kind: Literal["pause"] = "pause"


class GoOn(_Command):
    """Stop waiting."""

    kind: Literal["go_on"] = "go_on"


class Stop(_Command):
    """Save the last whole step and end."""

    kind: Literal["stop"] = "stop"


class Step(_Command):
    """Do one whole step, then wait."""

    kind: Literal["step"] = "step"


class Set(_Command):
    """Change a setting from the next step on."""

    kind: Literal["set"] = "set"
    field: Literal["kl_coef", "learning_rate"]
    value: float = Field(ge=0, le=100)


Command = Pause | GoOn | Stop | Step | Set
COMMAND: TypeAdapter[Command] = TypeAdapter(
    Annotated[Command, Field(discriminator="kind")], config=ConfigDict(defer_build=True)
)


class StopRequested(Exception):  # noqa: N818 - a request, not an error
    """Raised by `Control.tick` inside the work; the stage saves its last whole step and finishes."""


class Control(Protocol):
    """What a stage knows of the outside. A stage calls both; it never reads a file or a signal itself."""

    def tick(self) -> None:
        """Call at every micro-batch and every few generated tokens.

        Beats the heart, returns at once in the usual case, waits while the run is paused, and raises
        `StopRequested` when the run is asked to stop.
        """

    def changes(self) -> dict[str, float]:
        """Settings changed since the last call, by field name; call between steps, once before each.

        Waits here when the person goes step by step, and never once the run is asked to stop.
        """

    def held(self, why: str) -> bool:
        """Say that the work cannot go on until a person has done something, and wait a moment.

        False where nobody can be waited for, or the run is asked to stop: then it has to fail.
        """


class NoControl:
    """A control that asks for nothing: for tests and for work without a person."""

    def tick(self) -> None:
        """Go on."""

    def changes(self) -> dict[str, float]:
        """Nothing was changed."""
        return {}

    def held(self, why: str) -> bool:
        """There is nobody to wait for."""
        return False
