"""How the window's runs are begun: a child process, a warm one where one stands by."""

from typing import TYPE_CHECKING

from rlhf_lab.gui.settings import Settings

if TYPE_CHECKING:
    from rlhf_lab.runs.folder import RunFolder
    from rlhf_lab.runs.source import RunSource
    from rlhf_lab.runs.warm import Standby


class Trainers:
    """Keeps the trainer that stands by. `begin` runs in trainer threads, the rest in the GUI thread."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._standby: Standby | None = None

    def begin(self, folder: "RunFolder", how: str) -> "RunSource":
        """The `rlhf_lab.gui.lab.Begin` of the application."""
        from rlhf_lab.runs.source import ProcessRun

        source = ProcessRun(folder, standby=self._standby)
        if how == "attach":
            source.attach()
        else:
            source.start(resume=how == "resume")
        return source

    def stand_by(self) -> None:
        """Let a trainer import what takes seconds, for the next run; call while nothing trains."""
        if not self._settings.warm:
            return
        if self._standby is None:
            from rlhf_lab.runs.warm import Standby

            self._standby = Standby()
        self._standby.prepare()

    def settings_changed(self) -> None:
        """Let the waiting trainer go, where it is not wanted any more."""
        if not self._settings.warm:
            self.close()

    def close(self) -> None:
        """Let the waiting trainer go; one that has a run goes on."""
        if self._standby is not None:
            self._standby.close()
