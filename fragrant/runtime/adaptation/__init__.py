"""A trained network on clips of another domain, without labels: statistics measured anew, steps at test time."""
