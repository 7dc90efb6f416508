"""Following instructions: rules about the form of a text, each checked without a model.

Answer format: all text after `</think>`; no box, no tags. The expected answer is a list of
`{"id": "length_constraints:number_words", "kwargs": {"num_words": 50, "relation": "at most"}}`,
with the ids and arguments of IFEval where it has the rule (docs/verifiers.md lists them all).
The score is the fraction of instructions that are followed; a blank text follows none.
An unknown id or a wrong argument raises BadItemError, whatever the model wrote.
"""

import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any

from prorl_verifier.errors import BadItemError
from prorl_verifier.extract import after_thinking
from prorl_verifier.rule_kwargs import Kwargs

MAX_INSTRUCTIONS = 100
MAX_CHARACTERS = 1_000_000
Rule = Callable[[str, Kwargs], bool]

_WORD = re.compile(r"\w+(?:['’-]\w+)*")
_SENTENCE = re.compile(r"(?<![.!?])[.!?]++[\"')\]]*+(?=\s|$)")
_BULLET = re.compile(r"^[ \t]*[*-][ \t]+\S", re.MULTILINE)
_PLACEHOLDER = re.compile(r"\[[^\[\]\n]{1,200}\]")
_TITLE = re.compile(r"<<[^<>\n]{1,500}>>")
_HIGHLIGHT = re.compile(r"\*[^*\n]{1,1000}\*")
_FENCE = re.compile(r"\A```(?:json)?[ \t]*\n(.*)\n?```\Z", re.DOTALL | re.IGNORECASE)
_SPACES = re.compile(r"\s+")
CONSTRAINED = ("My answer is yes.", "My answer is no.", "My answer is maybe.")


def grader(answer: Any, _: dict[str, Any]) -> Callable[[str], tuple[float, str]]:
    """The fraction of the instructions that a text follows. Raises BadItemError, and so does what
    it returns."""
    return partial(_share_followed, parse_instructions(answer))


def _share_followed(
    instructions: list[tuple[str, Rule, Kwargs]], completion: str
) -> tuple[float, str]:
    text = after_thinking(completion).strip()
    if len(text) > MAX_CHARACTERS:
        text = ""
    # Every rule is asked even of a blank text: bad arguments never depend on the model.
    followed = [rule(text, kwargs) and bool(text) for _, rule, kwargs in instructions]
    broken = [name for (name, _, _), good in zip(instructions, followed, strict=True) if not good]
    reason = f"not followed: {', '.join(broken[:5])}" if broken else "all followed"
    return sum(followed) / len(followed), reason


def parse_instructions(answer: Any) -> list[tuple[str, Rule, Kwargs]]:
    """Id, rule and arguments of each instruction. Raises BadItemError."""
    if not isinstance(answer, list) or not 0 < len(answer) <= MAX_INSTRUCTIONS:
        raise BadItemError(f"answer: must be a list of 1 to {MAX_INSTRUCTIONS} instructions")
    return [_instruction(f"answer[{n}]", value) for n, value in enumerate(answer)]


def _instruction(where: str, value: Any) -> tuple[str, Rule, Kwargs]:
    if not isinstance(value, dict) or value.keys() - {"id", "kwargs"}:
        raise BadItemError(f"{where}: must be an object of `id` and `kwargs`")
    name, given = value.get("id"), value.get("kwargs")
    given = {} if given is None else given
    if not isinstance(name, str) or name not in RULES:
        raise BadItemError(f"{where}.id: {str(name)[:60]!r} is no known instruction")
    if not isinstance(given, dict):
        raise BadItemError(f"{where}.kwargs: must be an object")
    rule, known = RULES[name]
    # A column of a parquet file has every argument of every rule, mostly null.
    values = {key: v for key, v in given.items() if v is not None}
    kwargs = Kwargs(where=f"{where}.kwargs", values=values)
    kwargs.refuse_unknown(known)
    return name, rule, kwargs


def count_phrase(text: str, phrase: str) -> int:
    """How often the phrase occurs as whole words, in any case."""
    return len(re.findall(rf"(?<!\w){re.escape(phrase)}(?!\w)", text, re.IGNORECASE))


def sentences(text: str) -> int:
    """Stretches that end in . ! or ?, and a last one that does not."""
    parts = [part for part in _SENTENCE.split(text) if any(c.isalnum() for c in part)]
    return len(parts)


def paragraphs(text: str) -> list[str]:
    """Parts between lines of ***, or between blank lines if there are none."""
    lines = text.replace("\r\n", "\n").split("\n")
    stars = any(line.strip() == "***" for line in lines)
    parts, current = [], list[str]()
    for line in lines:
        if (line.strip() == "***") if stars else not line.strip():
            parts.append("\n".join(current).strip())
            current = []
        else:
            current.append(line)
    return [part for part in [*parts, "\n".join(current).strip()] if part]


def _existence(text: str, kwargs: Kwargs) -> bool:
    return all(count_phrase(text, word) > 0 for word in kwargs.texts("keywords"))


def _forbidden(text: str, kwargs: Kwargs) -> bool:
    return not any(count_phrase(text, word) for word in kwargs.texts("forbidden_words"))


def _frequency(text: str, kwargs: Kwargs) -> bool:
    number = count_phrase(text, kwargs.text("keyword"))
    return kwargs.holds(number, kwargs.count("frequency"))


def _letters(text: str, kwargs: Kwargs) -> bool:
    letter = kwargs.text("letter")
    if len(letter) != 1:
        raise BadItemError(f"{kwargs.where}.letter: {letter[:60]!r}, must be one character")
    number = text.lower().count(letter.lower())
    return kwargs.holds(number, kwargs.count("let_frequency"), "let_relation")


def _words(text: str, kwargs: Kwargs) -> bool:
    return kwargs.holds(len(_WORD.findall(text)), kwargs.count("num_words"))


def _sentences(text: str, kwargs: Kwargs) -> bool:
    return kwargs.holds(sentences(text), kwargs.count("num_sentences"))


def _paragraphs(text: str, kwargs: Kwargs) -> bool:
    return len(paragraphs(text)) == kwargs.count("num_paragraphs")


def _first_word(text: str, kwargs: Kwargs) -> bool:
    parts, nth = paragraphs(text), kwargs.count("nth_paragraph")
    number, first = kwargs.count("num_paragraphs"), kwargs.text("first_word")
    if not 1 <= nth <= number:
        raise BadItemError(f"{kwargs.where}.nth_paragraph: {nth}, must be from 1 to {number}")
    if len(parts) != number:
        return False
    word = _WORD.search(parts[nth - 1])
    return word is not None and word[0].lower() == first.lower()


def _bullets(text: str, kwargs: Kwargs) -> bool:
    return len(_BULLET.findall(text)) == kwargs.count("num_bullets")


def _json(text: str, _: Kwargs) -> bool:
    fenced = _FENCE.match(text)
    try:
        return isinstance(_strict_json(fenced[1] if fenced else text), dict | list)
    except (ValueError, RecursionError):
        return False


def _strict_json(text: str) -> Any:
    return json.loads(text, parse_constant=_refuse)


def _refuse(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def _title(text: str, _: Kwargs) -> bool:
    return any(match[2:-2].strip() for match in _TITLE.findall(text))


def _highlights(text: str, kwargs: Kwargs) -> bool:
    return len(_HIGHLIGHT.findall(text.replace("**", "*"))) >= kwargs.count("num_highlights")


def _sections(text: str, kwargs: Kwargs) -> bool:
    mark = re.escape(kwargs.text("section_spliter"))
    heads = re.findall(rf"^[ \t*#]*{mark}[ \t]+[0-9]+", text, re.MULTILINE | re.IGNORECASE)
    return len(heads) >= kwargs.count("num_sections")


def _placeholders(text: str, kwargs: Kwargs) -> bool:
    return len(_PLACEHOLDER.findall(text)) >= kwargs.count("num_placeholders")


def _postscript(text: str, kwargs: Kwargs) -> bool:
    mark = kwargs.text("postscript_marker", "P.S.").lower()
    lines = [line.strip().lower() for line in text.split("\n")]
    return any(line.startswith(mark) and len(line) > len(mark) for line in lines)


def _start(text: str, kwargs: Kwargs) -> bool:
    return text.lower().startswith(kwargs.text("start_phrase").lower())


def _end(text: str, kwargs: Kwargs) -> bool:
    return text.strip('"').rstrip().lower().endswith(kwargs.text("end_phrase").lower())


def _options(text: str, kwargs: Kwargs) -> bool:
    found = [o for o in kwargs.texts("options", CONSTRAINED) if count_phrase(text, o)]
    return len(found) == 1


def _two(text: str, _: Kwargs) -> bool:
    parts = [part.strip() for part in text.split("******")]
    return len(parts) == 2 and all(parts) and parts[0] != parts[1]


def _repeat(text: str, kwargs: Kwargs) -> bool:
    prompt = _SPACES.sub(" ", kwargs.text("prompt_to_repeat"))
    text = _SPACES.sub(" ", text)
    return text.lower().startswith(prompt.lower()) and len(text) > len(prompt)


def _capitals(text: str, kwargs: Kwargs) -> bool:
    number = sum(word.isupper() for word in _WORD.findall(text))
    return kwargs.holds(number, kwargs.count("capital_frequency"), "capital_relation")


RULES: dict[str, tuple[Rule, tuple[str, ...]]] = {
    "keywords:existence": (_existence, ("keywords",)),
    "keywords:forbidden_words": (_forbidden, ("forbidden_words",)),
    "keywords:frequency": (_frequency, ("keyword", "frequency", "relation")),
    "keywords:letter_frequency": (_letters, ("letter", "let_frequency", "let_relation")),
    "length_constraints:number_words": (_words, ("num_words", "relation")),
    "length_constraints:number_sentences": (_sentences, ("num_sentences", "relation")),
    "length_constraints:number_paragraphs": (_paragraphs, ("num_paragraphs",)),
    "length_constraints:nth_paragraph_first_word": (
        _first_word,
        ("num_paragraphs", "nth_paragraph", "first_word"),
    ),
    "detectable_format:number_bullet_lists": (_bullets, ("num_bullets",)),
    "detectable_format:json_format": (_json, ()),
    "detectable_format:title": (_title, ()),
    "detectable_format:number_highlighted_sections": (_highlights, ("num_highlights",)),
    "detectable_format:multiple_sections": (_sections, ("section_spliter", "num_sections")),
    "detectable_format:constrained_response": (_options, ("options",)),
    "detectable_content:number_placeholders": (_placeholders, ("num_placeholders",)),
    "detectable_content:postscript": (_postscript, ("postscript_marker",)),
    "startend:start_checker": (_start, ("start_phrase",)),
    "startend:end_checker": (_end, ("end_phrase",)),
    "startend:quotation": (lambda text, _: len(text) > 2 and text[0] == text[-1] == '"', ()),
    "punctuation:no_comma": (lambda text, _: not set(",，、،") & set(text), ()),
    "change_case:english_capital": (lambda text, _: text.isupper(), ()),
    "change_case:english_lowercase": (lambda text, _: text.islower(), ()),
    "change_case:capital_word_frequency": (_capitals, ("capital_frequency", "capital_relation")),
    "combination:two_responses": (_two, ()),
    "combination:repeat_prompt": (_repeat, ("prompt_to_repeat",)),
}
