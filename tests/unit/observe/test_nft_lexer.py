"""Words of nft's language, with the lines where one is wrong."""

from __future__ import annotations

import pytest

from sluice.observe.nft_lexer import END, Lexer, NftError, Words, string


def _words(text: str) -> list[str]:
    lexer, found = Lexer(text), []
    lexer.skip("\n")
    while lexer.word != END:
        found.append(lexer.next())
    return found


def test_words() -> None:
    assert _words('ct state established,related log prefix "a { b"; accept # handle 5\n') == [
        *("ct", "state", "established", ",", "related", "log", "prefix", '"a { b"', ";", "accept", "\n")
    ]
    assert _words("tcp flags & (fin|syn)!=syn th dport<=5 [fd00::1]:80") == [
        *("tcp", "flags", "&", "(", "fin", "|", "syn", ")", "!=", "syn", "th", "dport", "<=", "5", "[fd00::1]:80")
    ]


def test_a_line_goes_on_in_braces_and_behind_a_backslash() -> None:
    lexer = Lexer("tcp dport { 1,\n 2 } \\\n accept\ndrop; return }")
    lexer.skip("\n")
    assert lexer.line() == ["tcp", "dport", "{", "1", ",", "2", "}", "accept"]
    lexer.skip("\n")
    assert lexer.line() == ["drop"]
    lexer.skip(";")
    assert lexer.line() == ["return"]
    assert lexer.word == "}"


def test_braces_are_text() -> None:
    lexer = Lexer('{ a comment "} ,", b } next')
    lexer.skip("\n")
    assert lexer.braces() == ' a comment "} ,", b '
    assert lexer.word == "next"


@pytest.mark.parametrize("text", ["{ a", "a", '{ "a }', "{ { a } }"])
def test_no_braces(text: str) -> None:
    def read() -> None:
        lexer = Lexer(f"\n{text}")
        lexer.skip("\n")
        lexer.braces()

    with pytest.raises(NftError, match=r"^line 2: "):
        read()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\nb {\nc", "line 3: a brace is not closed"),
        ('a\n"b\nc', "line 2: a string has no end"),
    ],
)
def test_what_has_no_end(text: str, said: str) -> None:
    def read() -> None:
        lexer = Lexer(text)
        while lexer.word != END:
            lexer.skip("\n")
            lexer.line()

    with pytest.raises(NftError) as error:
        read()
    assert str(error.value) == said


def test_a_block_is_skipped_with_those_in_it() -> None:
    lexer = Lexer("{ a { b\n } c } d")
    lexer.skip("\n")
    lexer.skip_block()
    assert lexer.word == "d"
    lexer = Lexer("{ a { b }")
    lexer.skip("\n")
    with pytest.raises(NftError, match="a brace is not closed"):
        lexer.skip_block()


def test_words_of_a_line() -> None:
    words = Words(["a", "b", '"c d"'])
    assert not words.take("b")
    assert words.take("x", "a")
    words.expect("b")
    assert string(words.next()) == "c d"
    assert words.word == END
    assert not words.take(END)
    with pytest.raises(NftError):
        words.next()
    with pytest.raises(NftError):
        words.expect("d")
    assert words.rest(1) == 'b "c d"'
    words.put_back("d")
    assert (words.next(), words.rest(1)) == ("d", "b d")
