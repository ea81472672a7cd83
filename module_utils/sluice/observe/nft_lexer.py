"""The words of nft(8)'s language, line by line. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

_TOKEN = re.compile(
    r"""(?:[^\S\n]|\\\n)*(?:\#[^\n]*)?  # blanks, a continued line, a comment
    (?P<word>\n|"[^"\n]*"|[{}();,]|==|!=|<=|>=|<<|>>|[<>&|^=!]|[^\s{}();,"<>&|^=!\#]+|\Z)""",
    re.VERBOSE,
)
_BRACES = re.compile(r'\s*\{((?:[^"{}]|"[^"\n]*")*)\}')

END = ""


class NftError(ValueError):
    """Text is not what nft prints or loads; the message says where and why."""


class Lexer:
    """The words of a text; ``word`` is the next one, "\\n" at the end of a line, END behind the last."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._begin = self._end = 0
        self.word = "\n"
        self.next()

    def fault(self, said: str) -> NftError:
        return NftError(f"line {1 + self._text.count(chr(10), 0, self._begin)}: {said}")

    def next(self) -> str:
        """The word, and on to the one behind it. Raises NftError where there is no word."""
        before = self.word
        found = _TOKEN.match(self._text, self._end)
        if found is None:
            self._begin = self._end
            raise self.fault("a string has no end")
        self.word, self._begin, self._end = found["word"], found.start("word"), found.end()
        return before

    def skip(self, *words: str) -> None:
        """On to the first word that is none of these."""
        while self.word in words and self.word != END:
            self.next()

    def expect(self, word: str) -> None:
        """Raises NftError."""
        if self.word != word:
            raise self.fault(f"{word!r} expected instead of {self.word or 'the end'!r}")
        self.next()

    def line(self) -> list[str]:
        """The words up to the end of a line, or to a semicolon or a brace that closes what was opened before.

        Lines within braces and parentheses are one. Raises NftError where one is not closed.
        """
        words: list[str] = []
        depth = 0
        while self.word != END:
            if not depth and self.word in ("\n", ";", "}"):
                return words
            depth += (self.word in ("{", "(")) - (self.word in ("}", ")"))
            if self.word != "\n":
                words.append(self.word)
            self.next()
        if depth > 0:
            raise self.fault("a brace is not closed")
        return words

    def braces(self) -> str:
        """The text between the brace that is the next word and the one that closes it. Raises NftError."""
        found = _BRACES.match(self._text, self._begin)
        if found is None:
            raise self.fault("braces expected, with elements between them")
        self._end = found.end()
        self.next()
        return found[1]

    def skip_block(self) -> None:
        """Over a block in braces, with blocks in it. Raises NftError."""
        self.expect("{")
        depth = 1
        while depth:
            if self.word == END:
                raise self.fault("a brace is not closed")
            depth += (self.word == "{") - (self.word == "}")
            self.next()


def string(word: str) -> str:
    """A word without its quotes."""
    return word[1:-1] if word.startswith('"') else word


class Words:
    """The words of one line, one after the other."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self.at = 0

    def rest(self, at: int) -> str:
        return " ".join(self._words[at:])

    @property
    def word(self) -> str:
        return self._words[self.at] if self.at < len(self._words) else END

    def next(self) -> str:
        """Raises NftError behind the last word."""
        word = self.word
        if word == END:
            raise NftError("the line ends too early")
        self.at += 1
        return word

    def put_back(self, word: str) -> None:
        """Have ``word``, the end of the one that was read last, as the next."""
        self.at -= 1
        self._words = [*self._words[: self.at], word, *self._words[self.at + 1 :]]

    def take(self, *words: str) -> bool:
        """Whether the next word is one of these, which is then read."""
        found = self.word in words and self.word != END
        self.at += found
        return found

    def expect(self, word: str) -> None:
        """Raises NftError."""
        if not self.take(word):
            raise NftError(f"{word} expected")
