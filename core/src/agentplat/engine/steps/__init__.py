"""How one execution of a step is run: its input checked, its calls recorded, its failure typed."""
