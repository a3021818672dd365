"""The window. Never imports torch, transformers, peft or the engine."""
