"""The tabs of the window, one file or folder each, in the order in which a person uses them."""

TABS = ("Project", "Annotate", "Bank", "Train", "Review", "Export")
CATEGORY_KEYS = 9
"""The first categories have keys: Ctrl + 1 to Ctrl + 9. 1 to 7 without Ctrl are napari's tools."""
