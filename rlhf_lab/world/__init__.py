"""The bundled lab world: a small closed world in which every claim about RLHF can be checked."""
