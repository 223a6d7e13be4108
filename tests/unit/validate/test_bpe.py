"""The vocabulary inside a GGUF file encodes a prompt and decodes what the model said."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.validate.models.bpe import Tokenizer, dump_tokenizer, load_tokenizer

BYTES = [*range(33, 127), *range(161, 173), *range(174, 256)]
CHARACTERS = [chr(byte) for byte in BYTES] + [chr(256 + number) for number in range(256 - len(BYTES))]
MERGES = ["Ġ P", "a r", "ar i", "ari s", "ĠP aris", "h e"]
TOKENIZER = Tokenizer(
    tokens=["<|end|>", *CHARACTERS, *(merge.replace(" ", "") for merge in MERGES)], merges=MERGES
)


def test_merges_apply_best_first() -> None:
    """A word becomes the tokens that its merges make, in their order of rank."""
    tokens = [TOKENIZER.tokens[number] for number in TOKENIZER.encode("the Paris")]
    assert tokens == ["t", "he", "ĠParis"]


def test_digits_are_words_of_their_own() -> None:
    """SmolLM2 never joins digits."""
    merged = Tokenizer(tokens=[*CHARACTERS, "12"], merges=["1 2"])
    assert [merged.tokens[number] for number in merged.encode("12")] == ["1", "2"]


def test_a_special_token_stands_for_itself() -> None:
    """A token that is no byte-level text is decoded as written, and broken text does not raise."""
    assert TOKENIZER.decode([0, *TOKENIZER.encode(" Paris")]) == "<|end|> Paris"
    assert TOKENIZER.decode(TOKENIZER.encode("é")[:1]) == "\ufffd"


def test_a_token_beyond_the_vocabulary_is_an_error() -> None:
    """A probe that reports a token which does not exist is not believed."""
    with pytest.raises(IndexError):
        TOKENIZER.decode([10_000])


@given(st.text())
def test_text_survives_the_round_trip(text: str) -> None:
    """Whatever is encoded decodes to itself."""
    encodable = text.encode("utf-8", "ignore").decode()
    assert TOKENIZER.decode(TOKENIZER.encode(encodable)) == encodable


def test_a_vocabulary_survives_the_file(tmp_path: Path) -> None:
    """What is written beside the weights is read back the same."""
    path = tmp_path / "tokens.json"
    path.write_text(dump_tokenizer(TOKENIZER), encoding="utf-8")
    assert load_tokenizer(path) == TOKENIZER
