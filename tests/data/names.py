"""Names that must be rejected, each with the reason, and names that must be kept."""

UNSEEN = "contains only invisible characters"
HIDDEN = "must not contain invisible or bidirectional control characters"
CONTROL = "one line without control characters"
TURNING = "direction of writing"

BAD_NAMES: list[tuple[str, str, str]] = [
    ("escape", "a\x1b[31mb", CONTROL),
    ("delete", "a\x7fb", CONTROL),
    ("line feed", "a\nb", CONTROL),
    ("carriage return", "a\r\nb", CONTROL),
    ("tab", "a\tb", CONTROL),
    ("next line", "a\x85b", CONTROL),
    ("line separator", "a\u2028b", CONTROL),
    ("paragraph separator", "a\u2029b", CONTROL),
    ("right-to-left override", "invoice\u202egpj.exe", TURNING),
    ("left-to-right embedding", "a\u202ab", TURNING),
    ("pop of a direction", "a\u202cb", TURNING),
    ("isolate", "a\u2066b\u2069", TURNING),
    ("zero-width spaces", "\u200b\u200b", UNSEEN),
    ("joiners", "\u200d\u2060\ufeff", UNSEEN),
    ("soft hyphen", "\u00ad", UNSEEN),
    ("joiners among spaces", " \u200d \u00a0", UNSEEN),
    ("filler letter", "\u3164", UNSEEN),
    ("empty braille pattern", "\u2800\u2800", UNSEEN),
    ("selector of a variant", "\ufe0f", UNSEEN),
    ("marks without a letter", "\u0301\u0300", UNSEEN),
    ("zero-width space at the end", "bug\u200b", HIDDEN),
    ("byte order mark", "bug\ufeff", HIDDEN),
    ("soft hyphen in a word", "b\u00adug", HIDDEN),
    ("word joiner", "b\u2060ug", HIDDEN),
    ("joiner in a Latin word", "bu\u200dg", HIDDEN),
    ("joiner in a Cyrillic word", "жу\u200dк", HIDDEN),
    ("joiner at the end", "क्\u200d", HIDDEN),
    ("joiner beside a space", "می\u200c خواهم", HIDDEN),
    ("two joiners", "می\u200c\u200cخواهم", HIDDEN),  # noqa: RUF001 - as it is written
    ("left-to-right mark", "bug\u200e", HIDDEN),
    ("right-to-left mark", "bug\u200f", HIDDEN),
    ("Arabic letter mark", "bug\u061c", HIDDEN),
    ("tag", "bug\U000e0041", HIDDEN),
    ("tags that nothing ends", "🏴\U000e0067\U000e0062", HIDDEN),
    ("tag of a language", "bug\U000e0001", HIDDEN),
    ("selector after a letter", "bug\ufe0f", HIDDEN),
    ("selector after a digit that is no key", "1\ufe0f", HIDDEN),
    ("two selectors", "❤\ufe0f\ufe0f", HIDDEN),
    ("selector of a far plane", "bug\U000e0100", HIDDEN),
    ("filler in a word", "b\u3164ug", HIDDEN),
    ("grapheme joiner", "b\u034fug", HIDDEN),
    ("reserved code point", "bug\u2065", HIDDEN),
]
"""The problem, a name with it, and a part of the message."""

GOOD_NAMES = [
    "Garden",
    "Größe: 100 % – „Übung“",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "❤\ufe0f",
    "1\ufe0f\u20e3",
    "क्\u200dष",
    "می\u200cخواهم",  # noqa: RUF001 - as it is written
    "עברית\u200f (1)",
    "日本語\u3000の庭",
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "🏳\ufe0f\u200d🌈 and ❤\ufe0f\u200d🔥",
    "👩🏽\u200d🚀",
    "🏴\u200d☠\ufe0f",
    "Why⁉\ufe0f",
    "র\u200d্যাব",
    "\u0600\u0661\u0662",
    "b\u0430g",
]
"""Joiners, selectors and marks of direction that belong to visible text."""

DECOMPOSED, COMPOSED = "Ga\u0308rten", "Gärten"
