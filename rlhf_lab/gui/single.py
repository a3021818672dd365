"""One window a project: a second start raises the first one instead."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QLockFile, QObject, Signal, Slot

from rlhf_lab.runs.keeping import WINDOW_LOCK, window_is_open

if TYPE_CHECKING:
    from PySide6.QtNetwork import QLocalServer

_WAIT_MS = 3000


class SingleWindow(QObject):
    """Holds the project's lock; QLockFile itself finds locks of dead processes."""

    raise_asked = Signal()

    def __init__(self, folder: Path, parent: QObject | None = None):
        super().__init__(parent)
        self._folder = folder
        self._lock = QLockFile(str(folder / WINDOW_LOCK))
        self._lock.setStaleLockTime(0)
        # On Linux the name is a socket in the temporary folder: the path itself would be too long for one.
        self._name = "rlhf-lab-" + hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:24]
        self._server: QLocalServer | None = None

    def claim(self) -> bool:
        """Whether this is the project's only window now."""
        if self._lock.isLocked() or self._lock.tryLock(0):
            return True
        if window_is_open(self._folder):
            return False
        # Of a window on the project that this one was copied from: it names a process that lives, and locks another file.
        (self._folder / WINDOW_LOCK).unlink(missing_ok=True)
        return self._lock.tryLock(0)

    def raise_first(self) -> bool:
        """Ask the other window to come to the front; whether it was reached."""
        from PySide6.QtNetwork import QLocalSocket

        socket = QLocalSocket()
        socket.connectToServer(self._name)
        if not socket.waitForConnected(_WAIT_MS):
            return False
        # The system connects to a window that hangs, too; one that lives hangs up. It may have done so already.
        return socket.state() == QLocalSocket.LocalSocketState.UnconnectedState or socket.waitForDisconnected(_WAIT_MS)

    def listen(self) -> None:
        """Hear of second starts; only this user can connect. A second call changes nothing."""
        if self._server is not None:
            return
        from PySide6.QtNetwork import QLocalServer  # 90 ms that the first paint need not wait for

        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        QLocalServer.removeServer(self._name)  # of a window that was killed: we hold the lock
        self._server.newConnection.connect(self._connected)
        self._server.listen(self._name)

    def close(self) -> None:
        """Let another window have the project."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._lock.unlock()

    @Slot()
    def _connected(self) -> None:
        assert self._server is not None
        while (socket := self._server.nextPendingConnection()) is not None:
            socket.disconnected.connect(socket.deleteLater)
            socket.disconnectFromServer()
            self.raise_asked.emit()
