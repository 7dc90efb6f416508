"""Numbers with units: a table of SI prefixes and units, read by an own linear grammar.

A unit is a product of factors: `m/s^2`, `kg m^{-3}`, `\\text{J}/(\\text{mol K})`, `km·h⁻¹`.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from prorl_verifier.notation import number, respell

MAX_CHARACTERS = 300
MAX_POWER = 12
Dimension = tuple[tuple[str, int], ...]

PREFIXES = {
    "": 0, "f": -15, "p": -12, "n": -9, "u": -6, "µ": -6, "μ": -6, "m": -3, "c": -2, "d": -1,
    "k": 3, "M": 6, "G": 9, "T": 12,
}  # fmt: skip
_N = {"kg": 1, "m": 1, "s": -2}
_J = {"kg": 1, "m": 2, "s": -2}
_V = {"kg": 1, "m": 2, "s": -3, "A": -1}

PREFIXED: dict[str, tuple[str, dict[str, int]]] = {
    "m": ("1", {"m": 1}), "g": ("1/1000", {"kg": 1}), "s": ("1", {"s": 1}), "A": ("1", {"A": 1}),
    "K": ("1", {"K": 1}), "mol": ("1", {"mol": 1}), "cd": ("1", {"cd": 1}), "N": ("1", _N),
    "J": ("1", _J), "W": ("1", {"kg": 1, "m": 2, "s": -3}), "V": ("1", _V),
    "Pa": ("1", {"kg": 1, "m": -1, "s": -2}), "bar": ("1e5", {"kg": 1, "m": -1, "s": -2}),
    "Hz": ("1", {"s": -1}), "C": ("1", {"A": 1, "s": 1}), "Bq": ("1", {"s": -1, "Bq": 1}),
    "Ω": ("1", {"kg": 1, "m": 2, "s": -3, "A": -2}), "T": ("1", {"kg": 1, "s": -2, "A": -1}),
    "F": ("1", {"kg": -1, "m": -2, "s": 4, "A": 2}), "Wb": ("1",
    {"kg": 1, "m": 2, "s": -2, "A": -1}), "L": ("0.001", {"m": 3}),
    "H": ("1", {"kg": 1, "m": 2, "s": -2, "A": -2}), "l": ("0.001", {"m": 3}), "M": ("1000",
    {"mol": 1, "m": -3}), "eV": ("1.602176634e-19", _J),
    "cal": ("4.184", _J), "Wh": ("3600", _J), "u": ("1.66053906660e-27", {"kg": 1}),
}  # fmt: skip
PLAIN: dict[str, tuple[str, dict[str, int]]] = {
    "min": ("60", {"s": 1}), "h": ("3600", {"s": 1}), "hr": ("3600", {"s": 1}),
    "day": ("86400", {"s": 1}), "atm": ("101325", {"kg": 1, "m": -1, "s": -2}),
    "mmHg": ("133.322387415", {"kg": 1, "m": -1, "s": -2}), "t": ("1000", {"kg": 1}),
    "Å": ("1e-10", {"m": 1}), "ha": ("1e4", {"m": 2}), "rad": ("1", {"rad": 1}),
    "°C": ("1", {"degC": 1}), "°F": ("1", {"degF": 1}), "°": ("1", {"deg": 1}),
    "%": ("0.01", {}), "ppm": ("1e-6", {}), "dB": ("1", {"dB": 1}), "rpm": ("1/60", {"s": -1}),
}  # fmt: skip
NAMES = {
    "meter": "m", "metre": "m", "second": "s", "gram": "g", "ampere": "A", "kelvin": "K",
    "mole": "mol", "newton": "N", "joule": "J", "watt": "W", "volt": "V", "pascal": "Pa",
    "hertz": "Hz", "coulomb": "C", "ohm": "Ω", "tesla": "T", "farad": "F", "henry": "H",
    "liter": "L", "litre": "L", "minute": "min", "hour": "h", "percent": "%", "degree": "°",
    "kilogram": "kg", "kilometer": "km", "kilometre": "km", "centimeter": "cm",
    "centimetre": "cm", "millimeter": "mm", "millisecond": "ms", "kilojoule": "kJ",
    "milliliter": "mL", "electronvolt": "eV", "radian": "rad", "sec": "s", "day": "day",
}  # fmt: skip

_SPELLINGS = (
    ("\\left", ""), ("\\right", ""), ("\\cdot", "·"), ("\\times", "×"), ("\\Omega", "Ω"),
    ("\\mu ", "µ"), ("\\mu", "µ"), ("^{\\circ}", "°"), ("^\\circ", "°"), ("\\circ", "°"),
    ("\\degree", "°"), ("\\%", "%"), ("\u2126", "\u03a9"), ("\u212b", "\u00c5"),
    ("℃", "°C"),    ("\\,", " "), ("\\;", " "), ("\\ ", " "), ("~", " "), ("\\!", ""), ("$", ""),
    ("**", "^"),
)  # fmt: skip
_WRAPPER = re.compile(r"\\(?:text|textrm|mathrm|rm|operatorname|mathbf|unit|si)\s*\{([^{}]*)\}")
_FRACTION = re.compile(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}")
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_RAISED = re.compile(r"[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_BRACED = re.compile(r"\s?\^\s?\{\s?([+-]?[0-9]{1,3})\s?\}|\s?\^\s?([+-]?[0-9]{1,3})")
_VALUE = re.compile(
    r"10\^(?P<alone>[+-]?[0-9]{1,3})|"
    r"(?P<mantissa>[+-]?\s?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?"
    r"(?:\s?/\s?[0-9]+(?![0-9.]))?)(?:\s?[×x*·]\s?10\^(?P<power>[+-]?[0-9]{1,3}))?"
)
_MICRO = re.compile(r"([µμ]) +(?=[A-Za-zΩ])")
_COMMAS = re.compile(r"(?<![0-9.,])[0-9]{1,3}(?:,[0-9]{3})+(?![0-9,])")
_TOKEN = re.compile(
    r"\s*(?:(?P<name>°?[A-Za-zµμΩÅ]+|[°%])"
    r"(?:\s?\^(?P<power>[+-]?[0-9]{1,2})|(?P<plain>-?[0-9]))?|(?P<sign>[·*/×()]))"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantity:
    """A value in base units, and which they are."""

    value: Fraction
    dimension: Dimension


def quantity(text: str) -> Quantity | None:
    """The number with its unit; None for anything else, and for a unit that is not in the table."""
    if len(text) > MAX_CHARACTERS:
        return None
    text = _plain(text)
    match = _VALUE.match(text)
    if match is None or (value := number(match["mantissa"] or "1")) is None:
        return None
    value *= Fraction(10) ** int(match["power"] or match["alone"] or 0)
    factor = unit_of(text[match.end() :])
    if factor is None:
        return None
    return Quantity(value=value * factor.value, dimension=factor.dimension)


def _plain(text: str) -> str:
    for old, new in _SPELLINGS:
        text = text.replace(old, new)
    text = _RAISED.sub(lambda m: f"^{m[0].translate(_SUPERSCRIPTS)}", text)
    text = _BRACED.sub(lambda m: f"^{m[1] or m[2]}", text)
    text = _MICRO.sub(r"\1", respell(_WRAPPER.sub(r" \1 ", text)))
    text = _FRACTION.sub(lambda m: _quotient(m[1].strip(), m[2].strip()), text)
    text = _COMMAS.sub(lambda m: m[0].replace(",", ""), text)
    return " ".join(text.split()).replace("° C", "°C").replace("° F", "°F")


def _quotient(over: str, under: str) -> str:
    return f"{over}/{under}" if under.isdigit() else f" ({over})/({under})"


def unit_of(text: str) -> Quantity | None:
    """The unit as a factor to base units; no text is the number one; None if it is no unit."""
    value, powers, position = Fraction(1), dict[str, int](), 0
    signs, divided = [1], False
    text = text.strip()
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            return None
        position = token.end()
        if (sign := token["sign"]) is not None:
            if sign == ")" and len(signs) == 1:
                return None
            divided = _bracket(sign, signs, divided)
            continue
        power = int(token["power"] or token["plain"] or 1)
        known = find_unit(token["name"])
        if known is None or not 0 < abs(power) <= MAX_POWER:
            return None
        power *= -signs[-1] if divided else signs[-1]
        divided = False
        value *= Fraction(known[0]) ** power
        for name, exponent in known[1].items():
            powers[name] = powers.get(name, 0) + exponent * power
    if len(signs) > 1 or divided:
        return None
    return Quantity(value=value, dimension=tuple(sorted((n, e) for n, e in powers.items() if e)))


def _bracket(sign: str, signs: list[int], divided: bool) -> bool:
    """Keeps the sign of the powers within brackets; True after a slash."""
    if sign == "(":
        signs.append(-signs[-1] if divided else signs[-1])
    elif sign == ")":
        signs.pop()
    return sign == "/"


@lru_cache(maxsize=1024)
def find_unit(name: str) -> tuple[Fraction, dict[str, int]] | None:
    """Factor and dimension of a symbol with its prefix, or of an English name."""
    lower = name.lower()
    name = NAMES.get(lower, NAMES.get(lower.removesuffix("s"), name))
    if name in PLAIN:
        factor, dimension = PLAIN[name]
        return Fraction(factor), dimension
    for prefix, exponent in PREFIXES.items():
        if name.startswith(prefix) and name[len(prefix) :] in PREFIXED:
            factor, dimension = PREFIXED[name[len(prefix) :]]
            return Fraction(factor) * Fraction(10) ** exponent, dimension
    return None
