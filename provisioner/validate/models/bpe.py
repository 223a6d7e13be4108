"""Encode and decode with a GPT-2 style byte-level vocabulary, as GGUF files carry it.

The validation prompt is a sentence, so this stays small: no special tokens, no normalisation. Format: the
tokenizer of GPT-2 (Radford et al. 2019), with each digit a word of its own as in SmolLM2.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

TOKENIZER_FILE = "tokens.json"
"""Where a weights folder keeps its vocabulary."""

_WORD = re.compile(r"'(?:s|t|re|ve|m|ll|d)|\d| ?[^\W\d_]+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+")


def _byte_characters() -> dict[int, str]:
    """Return GPT-2's printable character for every byte."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {byte: chr(byte) for byte in printable}
    hidden = [byte for byte in range(256) if byte not in table]
    return table | {byte: chr(256 + position) for position, byte in enumerate(hidden)}


_CHARACTERS = _byte_characters()
_BYTES = {character: byte for byte, character in _CHARACTERS.items()}


@dataclass(frozen=True, kw_only=True)
class Tokenizer:
    """A vocabulary and its merges, best first."""

    tokens: Sequence[str]
    merges: Sequence[str]
    _ids: Mapping[str, int] = field(init=False, repr=False)
    _ranks: Mapping[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Index both lists."""
        object.__setattr__(self, "_ids", {token: number for number, token in enumerate(self.tokens)})
        object.__setattr__(self, "_ranks", {merge: rank for rank, merge in enumerate(self.merges)})

    def encode(self, text: str) -> list[int]:
        """Return the token numbers of ``text``.

        Raises:
            KeyError: The vocabulary lacks a byte of it.
        """
        return [self._ids[part] for word in _WORD.findall(text) for part in self._split(word)]

    def decode(self, numbers: Sequence[int]) -> str:
        """Return the text of token numbers; those of special tokens stand for themselves."""
        data = bytearray()
        for number in numbers:
            token = self.tokens[number]
            known = all(character in _BYTES for character in token)
            data += bytes(_BYTES[character] for character in token) if known else token.encode()
        return data.decode("utf-8", "replace")

    def _split(self, word: str) -> list[str]:
        parts = [_CHARACTERS[byte] for byte in word.encode()]
        while len(parts) > 1:
            pairs = [f"{left} {right}" for left, right in pairwise(parts)]
            best = min(pairs, key=lambda pair: self._ranks.get(pair, len(self._ranks)))
            if best not in self._ranks:
                break
            place = pairs.index(best)
            parts[place : place + 2] = [best.replace(" ", "")]
        return parts


def load_tokenizer(path: Path) -> Tokenizer:
    """Read what `dump_tokenizer` wrote."""
    document = json.loads(path.read_text(encoding="utf-8"))
    return Tokenizer(tokens=document["tokens"], merges=document["merges"])


def dump_tokenizer(tokenizer: Tokenizer) -> str:
    """Return the vocabulary as JSON."""
    return json.dumps(
        {"tokens": list(tokenizer.tokens), "merges": list(tokenizer.merges)}, ensure_ascii=False
    )
