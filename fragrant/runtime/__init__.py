"""What any work with a model needs: its device, number format, preparation of clips, weights, and the loop that scores
videos."""
