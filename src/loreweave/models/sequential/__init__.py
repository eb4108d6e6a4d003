"""Recommenders of what comes next: floors of one step, neural backbones, and what language models' texts add to them."""
