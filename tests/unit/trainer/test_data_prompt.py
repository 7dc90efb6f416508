"""prorl_trainer.data.prompt: from what a row says to what the model reads."""

import unicodedata
from pathlib import Path
from typing import Any

import pytest
from data_builders import SPELL, make_prompts, make_set, make_spec, write_rows
from hypothesis import given, settings
from hypothesis import strategies as st
from prorl_trainer.data.prompt import encode, prompt_key, to_prompt
from prorl_trainer.errors import DataError
from prorl_trainer.model.tiny import build_tokenizer

CHAT_TEMPLATE = (
    "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
SYSTEM = {"role": "system", "content": "s"}
USER = {"role": "user", "content": "1+1"}
ASSISTANT = {"role": "assistant", "content": "2"}


def tokenizer_with(chat_template: str | None) -> Any:
    tokenizer = build_tokenizer()
    tokenizer.chat_template = chat_template
    return tokenizer


def text_of(prompt: Any, chat_template: str | None = CHAT_TEMPLATE, **fields: Any) -> str:
    tokenizer = tokenizer_with(chat_template)
    return str(tokenizer.decode(encode(tokenizer, to_prompt(make_set(**fields), prompt))))


def test_a_text_is_the_message_of_a_user_where_there_is_a_template() -> None:
    assert text_of("1+1") == text_of([USER]) == "[user]1+1[assistant]"
    assert text_of([SYSTEM, USER, ASSISTANT, USER]) == "[system]s[user]1+1[assistant]2[user]1+1" + (
        "[assistant]"
    )


def test_without_a_template_a_single_message_of_a_user_is_continued_as_it_is() -> None:
    assert text_of("1+1", None) == text_of([USER], None) == "1+1"


def test_a_system_prompt_goes_before_texts_and_chats() -> None:
    wanted = "[system]Think.[user]1+1[assistant]"
    assert text_of("1+1", systemPrompt="Think.") == wanted
    assert text_of([USER], systemPrompt="Think.") == wanted


def test_chat_template_none_leaves_a_text_alone() -> None:
    assert text_of("1+1", chatTemplate="None") == "1+1"


@pytest.mark.parametrize(
    ("chat", "fields", "words"),
    [
        ([USER], {"chatTemplate": "None"}, "must be a text, because chatTemplate is None"),
        ([SYSTEM, USER], {"systemPrompt": "x"}, "no system message, because the set has a system"),
        ([USER, ASSISTANT], {}, "must not end with a message of the assistant"),
        ([{"role": "user", "content": " "}], {}, "of which one is not empty"),
        ([{"role": "user"}], {}, "objects with `role` and `content`"),
        ([], {}, "must be a non-empty text or a list"),
    ],
)
def test_a_prompt_that_the_set_cannot_have_is_named_by_its_row(
    chat: Any, fields: dict[str, str], words: str, tmp_path: Path
) -> None:
    path = write_rows(tmp_path / "a.jsonl", [{"prompt": chat, "answer": "2"}])
    with pytest.raises(DataError) as caught:
        make_prompts(make_spec([make_set(f"file://{path}", **fields)]), tmp_path)
    assert "a.jsonl row 1, column `prompt`: " in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("chat", "fields", "roles"),
    [
        ([USER, ASSISTANT, USER], {}, "user, assistant, user"),
        ("1+1", {"systemPrompt": "s"}, "system, user"),
    ],
)
def test_a_chat_is_refused_where_the_model_has_no_template(
    chat: Any, fields: dict[str, str], roles: str, tmp_path: Path
) -> None:
    path = write_rows(tmp_path / "a.jsonl", [{"prompt": chat, "answer": "2"}])
    spec = make_spec([make_set(f"file://{path}", **fields)])
    with pytest.raises(DataError) as caught:
        make_prompts(spec, tmp_path, tokenizer_with(None))
    assert f"a.jsonl row 1 is a chat ({roles}), and the model's tokenizer has no chat" in str(
        caught.value
    )


def test_a_chat_that_the_template_refuses_is_named_by_its_row(tmp_path: Path) -> None:
    tokenizer = tokenizer_with("{{ raise_exception('no system role') }}")
    path = write_rows(tmp_path / "a.jsonl", [{"prompt": [SYSTEM, USER], "answer": "2"}])
    with pytest.raises(DataError, match=r"row 1 is refused by the chat template: no system role"):
        make_prompts(make_spec([make_set(f"file://{path}")]), tmp_path, tokenizer)


def test_generated_prompts_take_the_system_prompt_too(tmp_path: Path) -> None:
    spec = make_spec([make_set(f"{SPELL}&size=2", systemPrompt="Think.")], max_prompt=500)
    prompt = make_prompts(spec, tmp_path, tokenizer_with(CHAT_TEMPLATE)).prompt(0)
    assert prompt.text.startswith("Think.\n")


@settings(deadline=None)
@given(text=st.text(min_size=1), spaces=st.sampled_from([" ", "\n", "\t ", "  "]))
def test_the_same_question_has_one_key_however_it_is_written(text: str, spaces: str) -> None:
    key = prompt_key(f"{text} x")
    assert prompt_key(f" {text}{spaces}x\n") == key
    assert prompt_key(unicodedata.normalize("NFD", f"{text} x")) == key
    assert prompt_key([SYSTEM, {"role": "user", "content": f"{text} x"}]) == key
    assert prompt_key(f"{text} y") != key


@pytest.mark.parametrize(("one", "other"), [("x²", "x2"), ("Co", "CO"), ("a b", "ab")])
def test_signs_that_change_a_task_change_its_key(one: str, other: str) -> None:
    assert prompt_key(one) != prompt_key(other)
