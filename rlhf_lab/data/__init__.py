"""Files to records and back: one module per family of formats."""
