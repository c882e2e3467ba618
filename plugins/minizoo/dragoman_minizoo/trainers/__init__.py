"""How each kind of recipe becomes a checkpoint: one function each, from recipe and folder to ``OUT/model``."""
