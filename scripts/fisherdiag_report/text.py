"""Numbers as people read them."""


def si(value, digits=3):
    """1234567 -> '1.23M'."""
    for size, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return significant(value / size, digits) + suffix
    return significant(value, digits)


def significant(value, digits=3):
    """Rounded to so many significant digits, never in exponent form between 0.001 and 100,000."""
    if value == 0:
        return "0"
    if not 1e-3 <= abs(value) < 1e5:
        return f"{value:.{digits - 1}e}"
    text = f"{value:.{digits}g}"
    return f"{float(text):,.0f}" if "e" in text else text


def seconds(value):
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            return f"{significant(value / size)} {unit}"
    return f"{significant(value / 1e-9)} ns"


def percent(value, digits=0):
    return f"{100 * value:.{digits}f}%"


def memory(value):
    return f"{significant(value / 1e9)} GB" if value >= 1e9 else f"{value / 1e6:.0f} MB"


def binary_size(value):
    return f"{significant(value / 2 ** 20)} MiB" if value >= 2 ** 20 else f"{significant(value / 2 ** 10)} KiB"


def times(value):
    return f"{value:.1f}×" if value < 100 else f"{value:.0f}×"


def model(name):
    """'mlp-784-256-256-10' -> '784-256-256-10'."""
    return name.removeprefix("mlp-")


def or_dash(value, formatter):
    return "–" if value is None else formatter(value)
