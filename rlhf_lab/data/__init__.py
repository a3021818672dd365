"""Files ⇄ records: what a person drops is detected by its content, read line by line, and stored whole or not at all."""
