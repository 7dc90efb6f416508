"""Instructions: (id, arguments, texts that follow it, texts that do not), by whoever wrote them."""

from typing import Any

from golden.frames import Case, case

Group = tuple[str, dict[str, Any], list[str], list[str]]
COUNTS = "length_constraints:number_"
FORMAT = "detectable_format:"

GROUPS: list[Group] = [
    ("keywords:existence", {"keywords": ["sun", "moon"]},
     ["The sun and the moon.", "Moon first; then SUN."], ["The sun only.", "sunny moonlight"]),
    ("keywords:forbidden_words", {"forbidden_words": ["cat"]},
     ["A dog barks.", "Concatenate them."], ["A cat sleeps.", "CAT!"]),
    ("keywords:frequency", {"keyword": "tea", "frequency": 2, "relation": "at least"},
     ["Tea and tea.", "tea tea tea"], ["One tea.", "team steam teas"]),
    ("keywords:frequency", {"keyword": "tea", "frequency": 2, "relation": "less than"},
     ["One tea.", "Coffee."], ["Tea tea.", "tea, tea, tea"]),
    ("keywords:letter_frequency", {"letter": "z", "let_frequency": 2, "let_relation": "at least"},
     ["pizza", "Zig zag"], ["zoo", "none"]),
    (COUNTS + "words", {"num_words": 3, "relation": "exactly"},
     ["one two three", "It's well-known here."], ["one two", "one two three four"]),
    (COUNTS + "words", {"num_words": 4, "relation": "at least"},
     ["one two three four", "a b c d e"], ["one two three", "four"]),
    (COUNTS + "words", {"num_words": 4, "relation": "less than"},
     ["one two three", "Hi."], ["one two three four", "a b c d e f"]),
    (COUNTS + "sentences", {"num_sentences": 2, "relation": "exactly"},
     ["One here. Two here.", "Really?! Yes, 3.5 of them."], ["Only one.", "A. B. C."]),
    (COUNTS + "sentences", {"num_sentences": 2, "relation": "at most"},
     ["Only one.", "One. Two."], ["One. Two. Three.", "A? B! C? D"]),
    (COUNTS + "paragraphs", {"num_paragraphs": 2},
     ["First part\n***\nSecond part", "First part\n\nSecond\nline"], ["One part", "a\n\nb\n\nc"]),
    ("length_constraints:nth_paragraph_first_word",
     {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "then"},
     ["Start.\n\nThen end.", "A\n***\nthen b"], ["Then.\n\nStart.", "Start.\n\nThenceforth."]),
    (FORMAT + "number_bullet_lists", {"num_bullets": 2},
     ["* one\n* two", "List:\n- a\n  - b\nend"], ["* one", "* a\n* b\n* c"]),
    (FORMAT + "json_format", {},
     ['{"a": [1, 2]}', '```json\n{"a": 1}\n```'], ["{'a': 1}", 'Here: {"a": 1}']),
    (FORMAT + "title", {}, ["<<My day>>\nIt rained.", "Text\n<<T>>"], ["<My day>\nIt", "<<>> x"]),
    (FORMAT + "number_highlighted_sections", {"num_highlights": 2},
     ["*one* and *two*", "**bold** then *soft*"], ["*one* only", "two * stars"]),
    (FORMAT + "multiple_sections", {"section_spliter": "Section", "num_sections": 2},
     ["Section 1\na\nSection 2\nb", "## SECTION 1\nx\n**Section 2**\ny"],
     ["Section 1\na", "In Section 1 and Section 2"]),
    (FORMAT + "constrained_response", {}, ["My answer is yes.", "Well. My answer is maybe."],
     ["Yes.", "My answer is yes. My answer is no."]),
    (FORMAT + "constrained_response", {"options": ["red", "blue"]}, ["Red!", "I take blue."],
     ["green", "red or blue"]),
    ("detectable_content:number_placeholders", {"num_placeholders": 2},
     ["Dear [name], at [address]", "[a][b][c]"], ["Dear [name]", "[] and []"]),
    ("detectable_content:postscript", {"postscript_marker": "P.S."},
     ["Hi.\nP.S. Bye", "Text\n\n  p.s. more"], ["Hi. PS bye", "Hi.\nP.S."]),
    ("startend:start_checker", {"start_phrase": "Dear all"}, ["Dear all, hi", "dear ALL"],
     ["Hi, dear all", "Dear friends"]),
    ("startend:end_checker", {"end_phrase": "the end"}, ["It is the end", '"So: The End"'],
     ["the end is near", "It ends"]),
    ("startend:quotation", {}, ['"All of it."', '"a"'], ['"Half', 'He said "x"']),
    ("punctuation:no_comma", {}, ["No such mark.", "a; b"], ["One, two", "一，二"]),
    ("change_case:english_capital", {}, ["ALL CAPS 1!", "YES"], ["Not all", "yES"]),
    ("change_case:english_lowercase", {}, ["all small 1!", "yes"], ["Not small", "yEs"]),
    ("change_case:capital_word_frequency", {"capital_frequency": 2, "capital_relation": "at least"},
     ["NASA and ESA", "A B c"], ["NASA only", "Nasa Esa"]),
    ("combination:two_responses", {}, ["First\n******\nSecond", "a ****** b"],
     ["First\n***\nSecond", "same\n******\nsame"]),
    ("combination:repeat_prompt", {"prompt_to_repeat": "What is it?"},
     ["What is it?\nA bird.", "what is  it? Air."], ["A bird. What is it?", "What is it?"]),
]  # fmt: skip

FRAMES = ("%s", "<think>%s</think>\n%s\n", "<think>a</think>b<think>%s</think>%s", "\n\n  %s \n")
BLANK = ("", " \n", "<think>%s</think>", "<think>%s")


def cases() -> list[Case]:
    """All of them: each rule alone, and in pairs that are half followed."""
    found = [one for number, group in enumerate(GROUPS) for one in _of_group(number, group)]
    return found + _pairs()


def _framed(text: str, other: str) -> list[str]:
    parts = {1: (text,), 2: (other, text)}
    return [frame % parts[frame.count("%s")] for frame in FRAMES]


def _of_group(number: int, group: Group) -> list[Case]:
    name, kwargs, good, bad = group
    answer = [{"id": name, "kwargs": kwargs}]
    found = [case(c, answer, 1.0) for i in (0, 1) for c in _framed(good[i], bad[i])]
    found += [case(c, answer, 0.0) for i in (0, 1) for c in _framed(bad[i], good[i])]
    blank = BLANK[number % len(BLANK)]
    return [*found, case(blank.replace("%s", good[0]), answer, 0.0)]


def _pairs() -> list[Case]:
    """A text that follows one of two rules, for rules that say nothing about each other."""
    word = {"id": "keywords:existence", "kwargs": {"keywords": ["zebra"]}}
    found = []
    for name, kwargs, good, _ in GROUPS:
        rule = {"id": name, "kwargs": kwargs}
        found.append(case(good[0], [rule, word], 0.5))
    both = [word, {"id": "punctuation:no_comma", "kwargs": {}}]
    texts = {"A zebra.": 1.0, "A zebra, running": 0.5, "A horse.": 0.5, "A horse, running": 0.0}
    return found + [case(text, both, score) for text, score in texts.items()]
