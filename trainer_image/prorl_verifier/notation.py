"""How numbers and mathematics are written: spellings become one, contradictions are found.

Every expression here is linear in the length of the text, which is the model's.
"""

import re
from fractions import Fraction

MAX_DIGITS = 400
MAX_EXPONENT = 400
"""Ten to more than this is no number that anybody asks for, and costs memory."""

_VULGAR = {
    "½": (1, 2), "⅓": (1, 3), "⅔": (2, 3), "¼": (1, 4), "¾": (3, 4), "⅕": (1, 5), "⅖": (2, 5),
    "⅗": (3, 5), "⅘": (4, 5), "⅙": (1, 6), "⅚": (5, 6), "⅛": (1, 8), "⅜": (3, 8), "⅝": (5, 8),
    "⅞": (7, 8),
}  # fmt: skip
_SPELLINGS = str.maketrans(
    {sign: f"\\frac{{{n}}}{{{d}}}" for sign, (n, d) in _VULGAR.items()} | {"−": "-", "–": "-"}
)
_GROUPS = re.compile(r"(?<![0-9.,])[0-9]{1,3}(?:(?:\\,|\\;|\\ |\{,\}| )[0-9]{3})+(?![0-9])")
_GAP = re.compile(r"\\[,; ]|\{,\}| ")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_DELIMITERS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"))
_PLAIN = re.compile(r"[+-]?[0-9]*\.?[0-9]*")
_REPEATING = re.compile(r"([+-]?)([0-9]*)\.([0-9]*)\\(?:overline|bar)\{([0-9]+)\}")
_MIXED = re.compile(r"([+-]?)([0-9]+) ([0-9]+)/([0-9]+)")
_COMMAND = re.compile(r"\\[a-zA-Z]+")
_BASE = re.compile(r"[0-9]_(?:\{([0-9]+)\}|([0-9]))$")
_UNIT = re.compile(
    r"[0-9}]\s*(?:\\[,; ])?\s*\\(?:text|mathrm|textrm|rm)\s*\{\s*([^{}]{1,40}?)\s*\}([\^{}0-9]*)$"
)
_NEGATION = re.compile(
    r"\\(?:ne|neq|not)(?![a-zA-Z])|≠|\\(?:text|mbox)\{[^{}]*\b(?:not|never|wrong|false|incorrect)\b"
)
_EQUALS = re.compile(r"=|≡|\\equiv(?![a-zA-Z])|\\in(?![a-zA-Z])")
_APPROXIMATELY = re.compile(r"\\approx(?![a-zA-Z])|≈")
_LOOSE_SPACE = re.compile(r"(?<!\w)\s+|\s+(?!\w)")
_WRAPPER = re.compile(r"\\(?:text|textrm|textbf|textit|mbox|mathrm|rm)\s*\{([^{}]*)\}")
_EXPONENT = re.compile(r"\^\s*(?:\{?\s*[+-]?[0-9]+\s*\}?)")
LISTS = frozenset({"and", "or"})
CONDITIONS = frozenset({"for", "where", "if", "when", "with", "such that", "as", "for all"})
SCALES = frozenset({"k", "K", "hundred", "thousand", "million", "billion", "trillion", "dozen"})
"""Words after a number that make it another one, in the singular."""
_ALTERNATIVE = re.compile(r"\\(?:lor|vee)(?![a-zA-Z])|\bor\b")
_SEVERAL = re.compile(r"[,;<>]|\\(?:pm|mp|cup|[lg]eq?|neq?)(?![a-zA-Z])|\\\{")
"""A gold answer with one of these may be more than one value, so that "or" is a way to write it."""
_SIDE = re.compile(r"=|\\in(?![a-zA-Z])")
_BRACKET = re.compile(r"(\\\{|\(|\[)|\\\}|\)|\]")
_PLAIN_UNIT = re.compile(r"[0-9] ([A-Za-z]{1,20})$")


def respell(text: str) -> str:
    """The text with one spelling for minus, empty set, vulgar fractions, grouped
    digits and spaces."""
    text = " ".join(text.translate(_SPELLINGS).replace("\\varnothing", "\\emptyset").split())
    return _GROUPS.sub(lambda match: _GAP.sub("", match[0]), text)


def number(text: str) -> Fraction | None:
    """A decimal, fraction, mixed or repeating number in ASCII digits, exactly; None otherwise."""
    text = text.strip().removeprefix("$").removesuffix("$").strip()
    if len(text) > MAX_DIGITS:
        return None
    if mixed := _MIXED.fullmatch(text):
        sign, whole, n, d = mixed.groups()
        return _signed(sign, int(whole) + Fraction(int(n), int(d))) if int(d) else None
    if repeating := _REPEATING.fullmatch(text):
        return _repeating(*repeating.groups())
    numerator, slash, denominator = text.partition("/")
    a, b = _decimal(numerator), _decimal(denominator) if slash else Fraction(1)
    return a / b if a is not None and b else None


def latex_number(text: str) -> str:
    """A mixed, repeating or exponential number as LaTeX that every parser knows; else the text."""
    value = None if _PLAIN.fullmatch(text) else number(text)
    return text if value is None else f"\\frac{{{value.numerator}}}{{{value.denominator}}}"


def _decimal(text: str) -> Fraction | None:
    text = text.strip()
    sign = text[:1] if text[:1] in ("+", "-") else ""
    text = sign + text[len(sign) :].lstrip()
    if not _NUMBER.fullmatch(text):
        return None
    exponent = text.lower().partition("e")[2]
    return Fraction(text) if abs(int(exponent or 0)) <= MAX_EXPONENT else None


def _repeating(sign: str, whole: str, head: str, period: str) -> Fraction:
    start = Fraction(int((whole + head) or 0), 10 ** len(head))
    return _signed(sign, start + Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(head)))


def _signed(sign: str, value: Fraction) -> Fraction:
    return -value if sign == "-" else value


def undelimited(text: str) -> str | None:
    """The text without math delimiters around it; None if it is several pieces of mathematics."""
    for begin, end in _DELIMITERS:
        if text.startswith(begin) and text.endswith(end) and len(text) >= len(begin + end):
            text = text[len(begin) : len(text) - len(end)].strip()
    several = "$" in text.replace("\\$", "") or "\\(" in text or "\\[" in text
    lines = "\\\\" in text and "\\begin" not in text
    return None if several or lines or _goes_on(text) else text


def _goes_on(text: str) -> bool:
    """True if there is more after words that follow mathematics, as in `4\\text{ or else }5`: a
    parser stops at words. `and` and `or` make a list, and a condition may be the last thing."""
    for words in _WRAPPER.finditer(text):
        rest = _EXPONENT.sub("", text[words.end() :])
        follows = text[: words.start()].strip(" &([{=")
        if not follows or not any(c.isalnum() for c in _WRAPPER.sub("", rest)):
            continue
        said = words[1].strip(" ,")
        is_list = said in LISTS and words[0].startswith("\\text{")
        if not is_list and (said not in CONDITIONS or _WRAPPER.search(rest)):
            return True
    return False


def squeezed(text: str) -> str:
    """The text without spaces that separate nothing."""
    return _LOOSE_SPACE.sub("", text)


def numeric_sides(text: str) -> list[str]:
    """Sides of an equation that have no letter: each must be the answer, or `3=4` would be 4."""
    sides = _EQUALS.split(text)
    if len(sides) == 1:
        return []
    return [s for s in sides if not any(c.isalpha() for c in _COMMAND.sub("", s))]


def is_equation(text: str) -> bool:
    """Whether something is said to be equal to something."""
    return _EQUALS.search(text) is not None


def approximations(text: str) -> list[str]:
    """The answer, and what it is said to be near to, without a name in front."""
    parts = [part.strip() for part in _APPROXIMATELY.split(text)]
    return parts[1:] if len(parts) > 1 and len(parts[0]) == 1 and parts[0].isalpha() else parts


def contradicts(given: str, gold: str) -> bool:
    """True if both name a number base, a unit or a kind of list, and not the same one, or if only
    the given one says what the answer is not, counts in millions, is a ratio of three, or offers
    several."""
    if bool(_NEGATION.search(given)) != bool(_NEGATION.search(gold)):
        return True
    if _offers_several(given) and not _offers_several(gold) and not _SEVERAL.search(gold):
        return True
    a, b = unit(given), unit(gold)
    scaled = (a in SCALES or b in SCALES) and a != b
    ratios = given.count(":") > max(1, gold.count(":"))
    named = ((base(given), base(gold)), (a, b), (enclosure(given), enclosure(gold)))
    return scaled or ratios or any(_differ(*pair) for pair in named)


def _offers_several(text: str) -> bool:
    """By a word or sign for "or"; a bar without a partner is such a sign."""
    return _ALTERNATIVE.search(text) is not None or text.count("|") % 2 == 1


def _differ(a: str | None, b: str | None) -> bool:
    return a is not None and b is not None and a != b


def base(text: str) -> str | None:
    """The subscript of a number, as in 12_{3}."""
    match = _BASE.search(text)
    return (match[1] or match[2]) if match else None


def enclosure(text: str) -> str | None:
    """The bracket that opens a set `\\{1,2\\}` or a tuple `(1,2)`, if it is around all of the right
    side; math-verify takes one for the other."""
    text = _SIDE.split(text)[-1].replace("\\left", "").replace("\\right", "").strip()
    opened = _BRACKET.match(text)
    if opened is None or "," not in text or not text.endswith((")", "}")):
        return None
    depth = 0
    for bracket in _BRACKET.finditer(text):
        depth += 1 if bracket[1] else -1
        if depth == 0 and bracket.end() < len(text):
            return None
    return opened[0]


def unit(text: str) -> str | None:
    """What follows a number as text or as a word, with its exponent, in the singular."""
    if match := _UNIT.search(text):
        return _singular(match[1]) + match[2].strip("{}")
    match = _PLAIN_UNIT.search(text)
    return _singular(match[1]) if match else None


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") else word
