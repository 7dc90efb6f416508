"""Whether all of an answer is one piece of mathematics.

math-verify's parser reads as much from the beginning as it understands, and where it understands
nothing the last number: `42~43` would be 42, and `43\\to 42` too. Two answers are none.
"""

from functools import lru_cache
from typing import Any

from prorl_verifier.notation import latex_number


@lru_cache(maxsize=4096)
def is_whole(text: str) -> bool:
    """True if math-verify's grammar reads the text, as math-verify normalizes it, to its end. The
    right answers of a group are often the same text."""
    from latex2sympy2_extended.math_normalization import normalize_latex

    reader = _reader(normalize_latex(latex_number(text), _normalization()))
    try:
        reader.math()
    except _UnreadableError:
        return False
    return bool(reader.getCurrentToken().type == -1)  # the end


class _UnreadableError(ValueError):
    """There is a character or a word that the grammar does not have there."""


class _Listener:
    """What ANTLR reports to; ambiguities do not matter."""

    def syntaxError(self, *_: Any) -> None:
        raise _UnreadableError

    def reportAmbiguity(self, *_: Any) -> None: ...

    def reportAttemptingFullContext(self, *_: Any) -> None: ...

    def reportContextSensitivity(self, *_: Any) -> None: ...


def _reader(text: str) -> Any:
    from antlr4 import CommonTokenStream, InputStream
    from latex2sympy2_extended.antlr_parser import PSLexer, PSParser

    lexer = PSLexer(InputStream(text))
    reader = PSParser(CommonTokenStream(lexer))
    for part in (lexer, reader):
        part.removeErrorListeners()
        part.addErrorListener(_Listener())
    reader.buildParseTrees = False
    return reader


@lru_cache(maxsize=1)
def _normalization() -> Any:
    from math_verify import LatexExtractionConfig

    return LatexExtractionConfig().normalization_config
