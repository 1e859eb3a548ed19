"""Several models as one reading: steps in order, conditions, withheld answers, eyes and visits."""
