"""The mouse tools on the image and the edits of instances."""
