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

    normalized = normalize_latex(latex_number(text), _normalization())
    return _reads(_reader(normalized, in_short=True)) or _reads(_reader(normalized))


def _reads(reader: Any) -> bool:
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


def _reader(text: str, *, in_short: bool = False) -> Any:
    """ANTLR's parser of a text. `in_short` it decides by the text alone, not by the rules that it
    is within (SLL, not LL), at a fraction of the cost. What it then reads to the end it would read
    anyway, by ANTLR's own promise; what it does not, such as `x^2`, it may yet."""
    from antlr4 import CommonTokenStream, InputStream
    from latex2sympy2_extended.antlr_parser import PSLexer, PSParser

    lexer = PSLexer(InputStream(text))
    reader = PSParser(CommonTokenStream(lexer))
    for part in (lexer, reader):
        part.removeErrorListeners()
        part.addErrorListener(_Listener())
    reader.buildParseTrees = False
    if in_short:
        reader._interp = _short_decisions(reader)
    return reader


def _short_decisions(reader: Any) -> Any:
    from antlr4 import ParserATNSimulator, PredictionMode

    decisions = ParserATNSimulator(reader, reader.atn, *_learnt())
    decisions.predictionMode = PredictionMode.SLL
    return decisions


@lru_cache(maxsize=1)
def _learnt() -> tuple[list[Any], Any]:
    """What decisions have been made before. math-verify's own parser has another such memory, in
    which those in short are not to be found."""
    from antlr4 import DFA, PredictionContextCache
    from latex2sympy2_extended.antlr_parser import PSParser

    states = enumerate(PSParser.atn.decisionToState)
    return [DFA(state, number) for number, state in states], PredictionContextCache()


@lru_cache(maxsize=1)
def _normalization() -> Any:
    from math_verify import LatexExtractionConfig

    return LatexExtractionConfig().normalization_config
