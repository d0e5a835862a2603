"""The running training in the window: its session, its curves, and remedies for failures."""
