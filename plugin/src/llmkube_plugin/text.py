"""Text that others wrote, made safe to show."""


def printable(text: str) -> str:
    """Return a text without control characters, which could steer a terminal; lines stay lines.

    Logs, annotations and names on volumes come from whoever may write them.
    """
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() or character == "\n" else "?" for character in text)
