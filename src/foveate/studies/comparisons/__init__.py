"""Recipes that only a study needs: the networks and variations that a paper compares its method with."""
