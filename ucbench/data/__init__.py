"""Image sets, reading images into one, choosing parts of one, and how far an image may be changed."""
