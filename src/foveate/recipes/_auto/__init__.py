"""How `recipes.auto` decides: what is learnt, how images are seen, what a step costs, how long to train."""
