"""What the Data pane shows at a first visit."""

from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QVBoxLayout

from rlhf_lab.gui.theme import theme
from rlhf_lab.gui.widgets.help_mark import explain
from rlhf_lab.gui.widgets.plain_text import PlainLabel


class GuideCard(QFrame):
    """For a first visit: all of RLHF with one press."""

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("surface", "card")
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 12, 16, 12)
        row.setSpacing(16)
        words = QVBoxLayout()
        words.setSpacing(4)
        words.addWidget(PlainLabel("See all of RLHF in a few minutes", role="heading"))
        words.addWidget(
            PlainLabel(
                "On the bundled model and data: fine-tune it, train a reward model on people's choices, run PPO "
                "against that, and compare what came out with what went in. Everything is real and runs here.",
                role="muted",
                wrap=True,
            )
        )
        row.addLayout(words, 1)
        self.button = QPushButton("Run the guided experiment")
        self.button.setProperty("look", "primary")
        self.button.setAccessibleName("Run the guided experiment")
        explain(self.button, "control.guide")
        theme().keep_icon(self.button, "guide")
        row.addWidget(self.button)
