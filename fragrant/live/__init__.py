"""Live video: a trained network on a stream, window by window, with events, a recording and a page."""
