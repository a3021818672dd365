"""The window. Never imports torch, transformers, peft or the engine."""

from rlhf_lab.gui.unread_sources import leave_sources_unread

leave_sources_unread()
