"""Where the answer is in a completion. Rules are documented in docs/verifiers.md and never guess.

All of it is linear in the length of the text, which is the model's.
"""

import re

THINK_BEGIN, THINK_END = "<think>", "</think>"
ANSWER_BEGIN, ANSWER_END = "<answer>", "</answer>"
BOXED = "\\boxed{"
BRACE = re.compile(r"[{}]")
FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})(.*)$", re.MULTILINE)
PYTHON_TAGS = ("", "python", "python3", "py")


def after_thinking(text: str) -> str:
    """The text after the last </think>, or all of it, up to a thought that is not finished."""
    return text.rpartition(THINK_END)[2].partition(THINK_BEGIN)[0]


def tagged_answer(text: str) -> str | None:
    """Content of the last <answer>...</answer> pair, stripped; None without one."""
    end = text.rfind(ANSWER_END)
    begin = text.rfind(ANSWER_BEGIN, 0, max(end, 0))
    return text[begin + len(ANSWER_BEGIN) : end].strip() if begin >= 0 else None


def boxed_answer(text: str) -> str | None:
    """Content of the last \\boxed{...} with balanced braces, stripped; None without one."""
    start = text.rfind(BOXED)
    if start < 0:
        return None
    depth, begin = 1, start + len(BOXED)
    for brace in BRACE.finditer(text, begin):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return text[begin : brace.start()].strip()
    return None


def marked_answer(completion: str) -> str | None:
    """The box or the tags that begin last after thinking; None without either."""
    text = after_thinking(completion)
    boxed, tagged = boxed_answer(text), tagged_answer(text)
    if boxed is None or tagged is None:
        return tagged if boxed is None else boxed
    tag = text.rfind(ANSWER_BEGIN, 0, text.rfind(ANSWER_END))
    return boxed if text.rfind(BOXED) > tag else tagged


def logic_answer(completion: str) -> str:
    """Tagged answer if there is one, else the whole text after thinking."""
    text = after_thinking(completion)
    tagged = tagged_answer(text)
    return text.strip() if tagged is None else tagged


def fenced_program(completion: str) -> str | None:
    """Content of the last closed fence (``` or ~~~) after thinking whose tag is Python's or absent;
    None without one. A fence ends with a line of at least as many of the same characters."""
    text = after_thinking(completion)
    program, opened, tag = None, None, ""
    for fence in FENCE.finditer(text):
        marks, words = fence[1], fence[2].split(maxsplit=1)
        if opened is None:
            if "`" not in fence[2] or marks[0] == "~":  # else it is code within a line
                opened, tag = fence, words[0].lower() if words else ""
        elif marks.startswith(opened[1]) and not words:
            if tag in PYTHON_TAGS:
                program = text[opened.end() + 1 : fence.start()]
            opened = None
    return program
