"""How everything that comes from a synthetic stand-in is labelled."""

STAND_IN = "STAND-IN"


def labelled(title: str, stand_in: bool) -> str:
    """A title, which begins with "STAND-IN: " where a synthetic data set stands in for a real one."""
    return f"{STAND_IN}: {title}" if stand_in else title
