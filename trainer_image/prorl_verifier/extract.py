"""Where the answer is in a completion. Rules are documented in docs/verifier and never guess."""

import re

THINK_END = "</think>"
ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
BOXED = "\\boxed{"


def after_thinking(text: str) -> str:
    """The text after the last </think>, or all of it."""
    return text.rpartition(THINK_END)[2]


def tagged_answer(text: str) -> str | None:
    """Content of the last <answer>...</answer> pair, stripped; None without one."""
    found = ANSWER.findall(text)
    return found[-1].strip() if found else None


def boxed_answer(text: str) -> str | None:
    """Content of the last \\boxed{...} with balanced braces, stripped; None without one."""
    start = text.rfind(BOXED)
    if start < 0:
        return None
    depth, begin = 1, start + len(BOXED)
    for index in range(begin, len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if depth == 0:
            return text[begin:index].strip()
    return None


def logic_answer(completion: str) -> str:
    """Tagged answer if there is one, else the whole text after thinking."""
    text = after_thinking(completion)
    tagged = tagged_answer(text)
    return text.strip() if tagged is None else tagged


def math_answer(completion: str) -> str:
    """Boxed answer, else tagged answer, else the whole text after thinking."""
    text = after_thinking(completion)
    boxed = boxed_answer(text)
    return logic_answer(completion) if boxed is None else boxed


def is_marked(completion: str) -> bool:
    """True if the answer is boxed or tagged, so that it is known where it begins and ends."""
    text = after_thinking(completion)
    return boxed_answer(text) is not None or tagged_answer(text) is not None
