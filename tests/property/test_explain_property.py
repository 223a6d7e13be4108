from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.diagnose.failures.catalogue import load_catalogue
from provisioner.diagnose.failures.explain import explain_text
from provisioner.diagnose.failures.logtext import decode_stream, squeeze
from provisioner.diagnose.failures.model import Severity

CATALOGUE = load_catalogue()
EXAMPLES = [(failure.id, example) for failure in CATALOGUE.failures.values() for example in failure.examples]
FRAGMENTS = [signature.source for failure in CATALOGUE.failures.values() for signature in failure.signatures]

noise = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@settings(max_examples=150)
@given(st.lists(st.binary(max_size=300), max_size=8))
def test_no_bytes_crash_it(chunks: list[bytes]) -> None:
    """Any bytes in any pieces are read and judged."""
    for match in explain_text(decode_stream(chunks), CATALOGUE):
        assert match.line is not None
        assert match.line >= 1


@settings(max_examples=150)
@given(
    st.lists(
        st.one_of(noise, st.sampled_from(FRAGMENTS), st.sampled_from(EXAMPLES).map(lambda pair: pair[1])),
        max_size=12,
    )
)
def test_no_text_crashes_it(pieces: list[str]) -> None:
    """Any mixture of known messages and noise is judged: each id once, benign ones after the rest."""
    found = explain_text(pieces, CATALOGUE)
    assert len({match.id for match in found}) == len(found)
    benign = [match.severity is Severity.BENIGN for match in found]
    assert benign == sorted(benign)


@settings(max_examples=200)
@given(
    st.sampled_from(EXAMPLES),
    st.integers(20, 200),
    st.integers(0, 30),
    st.sampled_from(["\n", "\r\n", "\n│ ", "\n> "]),
)
def test_no_wrap_hides_an_example(pair: tuple[str, str], width: int, shift: int, seam: str) -> None:
    """An example is recognised wherever its lines were cut."""
    name, example = pair
    text = "." * shift + example
    wrapped = seam.join(text[at : at + width] for at in range(0, len(text), width))
    assert [match.id for match in explain_text([wrapped], CATALOGUE)][:1] == [name]


@settings(max_examples=200)
@given(st.lists(st.text(max_size=40), max_size=6))
def test_squeezing_is_done_line_by_line(lines: list[str]) -> None:
    """The squeezed text is that of its lines, whatever they hold."""
    lines = [line.replace("\n", " ") for line in lines]
    assert b"".join(map(squeeze, lines)) == squeeze("\n".join(lines))
