"""Image encoders from timm, with the changes that detection and half precision need."""
