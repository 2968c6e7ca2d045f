"""Contrast of two colours, as WCAG 2.2 defines it."""


def contrast(one: str, other: str) -> float:
    """From 1 for equal CSS colours (#rrggbb) to 21 for black on white."""
    darker, lighter = sorted(_luminance(color) + 0.05 for color in (one, other))
    return lighter / darker


def _luminance(color: str) -> float:
    channels = [byte / 255 for byte in bytes.fromhex(color.removeprefix("#"))]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
