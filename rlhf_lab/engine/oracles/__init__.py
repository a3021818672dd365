"""What the engine must give back where the right answer is known: by hand, by brute force, by a theorem.

Each check is a function of a `Bench` that yields `Oracle` rows; all of them run the engine's own code, on a tiny
model made on the spot. ``python -m rlhf_lab.engine.oracles`` runs them and prints one JSON line a row.
"""
