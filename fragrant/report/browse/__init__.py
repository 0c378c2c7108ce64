"""The page that shows a data set before a training does: what its videos look like, and what is made of them."""
