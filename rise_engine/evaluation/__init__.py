"""Evaluation: ground truth, COCO average precision, and the measures of OCID."""
