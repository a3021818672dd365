"""A drawing as pixels, for programs that show no SVG."""

import os
import tempfile
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QImage, QPainter
from PySide6.QtSvg import QSvgRenderer

from rlhf_lab.core.errors import LabError

SHARPNESS = 2.0
"""Pixels for each unit of the drawing."""

_MOST_PIXELS = 16_000
"""Across or down; Qt makes none larger than 32,767."""


def write_png(drawing: Path, place: Path) -> None:
    """Draw an SVG file into a PNG file that is not there yet; any thread will do where there is an application already."""
    application = QGuiApplication.instance()
    if application is None:  # text needs one, but no display
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
        application = QGuiApplication([])
    renderer = QSvgRenderer(str(drawing))
    size = renderer.defaultSize()
    if not renderer.isValid() or size.isEmpty():
        raise LabError(f"{drawing} cannot be drawn.")
    sharpness = min(SHARPNESS, _MOST_PIXELS / max(size.width(), size.height()))
    image = QImage(size * sharpness, QImage.Format.Format_RGB32)
    image.fill(Qt.GlobalColor.white)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    renderer.render(painter)
    painter.end()
    if place.exists():
        raise LabError(f"{place} is there already, and nothing is written over. Choose another name.")
    _put(image, place)


def _put(image: QImage, place: Path) -> None:
    """As a whole or not at all."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, fresh = tempfile.mkstemp(prefix=f".{place.name[:100]}-", suffix=".png", dir=place.parent)
    except OSError as error:
        raise LabError(f"Nothing can be written to {place.parent}: {error.strerror or error}.") from None
    os.close(handle)
    if image.save(fresh, "PNG"):
        Path(fresh).rename(place)
    else:
        Path(fresh).unlink()
        raise LabError(f"The picture cannot be written to {place}: the disk may be full.")
