"""What the user owns on disk: the store, its frames, splits, and the review queue."""
