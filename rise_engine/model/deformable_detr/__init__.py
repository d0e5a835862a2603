"""Deformable DETR with a dynamic mask head and an embedding head: the network of the paper."""
