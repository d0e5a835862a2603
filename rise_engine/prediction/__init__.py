"""Prediction with a trained network: load, preprocess, predict, postprocess, store."""
