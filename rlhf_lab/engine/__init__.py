"""Training: torch, transformers, peft. One generator per stage; pure tensor maths apart."""
