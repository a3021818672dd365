"""The one error that is meant for a person."""


class LabError(Exception):
    """Something that the person at the window can understand and act on.

    The text is one or two sentences: what happened, where, and what to do. Every surface (window,
    terminal, ``--json``) shows it as it stands, without a traceback.
    """
