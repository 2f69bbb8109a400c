"""Lists are shortened, system errors are sentences, control characters are spelled out."""

from __future__ import annotations

import errno

import pytest

from bench.core.errors import UnknownName
from bench.core.wording import clipped, os_error_sentence, printable, shortened


def test_a_list_is_shortened_once_it_is_too_long():
    assert shortened(["a", "b"], 2) == "a, b"
    assert shortened(["a", "b", "c"], 2) == "a, b and 1 more"
    assert shortened([1, 2, 3], 1, hint="--json shows them") == "1 and 2 more (--json shows them)"
    assert shortened([]) == ""


def test_text_that_is_too_long_keeps_its_start_and_says_how_long_it_is():
    assert clipped("abc", 3) == "abc"
    assert clipped("x" * 900, 10) == "xxxxx...(900 characters)"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("\x07", "\\x07"),
        ("a\r", "a\\r"),
        ("\u202eexe", "\\u202eexe"),
        ("a\nb é", "a\nb é"),
    ],
)
def test_nothing_steers_the_terminal(text, shown):
    assert printable(text) == shown


def test_a_name_that_no_terminal_can_show_is_printable():
    printable("\udcff").encode()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.EACCES, "permission is denied"),
        (errno.EROFS, "read-only"),
        (errno.ENOSPC, "no space is left"),
        (errno.ENOTDIR, "a file lies where a folder is needed"),
        (errno.EEXIST, "a file lies where a folder is needed"),
        (errno.EISDIR, "a folder where a file is needed"),
        (errno.ENOLCK, "no file locks"),
        (errno.ENAMETOOLONG, "too long"),
        (errno.EXDEV, "cross-device"),
    ],
)
def test_a_system_error_names_the_path_the_reason_and_the_remedy(code, words):
    text = os_error_sentence(OSError(code, "Invalid cross-device link", "/data/x[/b]"))
    assert text.startswith("/data/x[/b]: ") and words in text.lower() and "results=" in text and "\n" not in text


def test_an_error_without_a_path_or_a_code_is_a_sentence_too():
    assert "no space is left" in os_error_sentence(OSError(errno.ENOSPC, "full"))
    assert "odd" in os_error_sentence(OSError("odd"))
    assert "OSError" in os_error_sentence(OSError())


def test_an_unknown_name_of_any_length_is_compared_quickly():
    error = UnknownName("suite", "x" * 10**6, [f"suite_{i}" for i in range(200)])
    assert len(str(error)) < 2000 and "and 160 more" in str(error)
