"""A project on disk: its database, frames, annotations, predictions, runs and splits."""
