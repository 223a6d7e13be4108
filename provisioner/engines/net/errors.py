"""What can go wrong between us and a server, in words: host, cause, remedy; never a secret."""

from collections.abc import Sequence
from dataclasses import dataclass

from provisioner.engines.net.addresses import host_and_port, redact
from provisioner.errors import InstallError, UnavailableError

NETWORK_HINTS: tuple[str, ...] = (
    "check the network connection, the firewall and the proxy settings",
    "run the same command again",
)


class NotFoundError(UnavailableError):
    """The server was reached and says that there is no such page or file."""


@dataclass(kw_only=True, slots=True)
class Attempt:
    """One page or file that we try to get, over all its requests.

    Attributes:
        url: Canonical address.
        asked: Address that is asked: a mirror's, or the same.
        what: What is wanted, in the words of the message.
        login: User and password that the asked address carried.
        proxy: Proxy of the last request.
        tries: Requests made.
        size: Bytes that the file must have, None where nobody knows.
        done: Bytes so far; ``total`` of so many, None while unknown.
        retry_after_s: Pause that the server asked for.
    """

    url: str
    asked: str
    what: str
    login: tuple[str, str] | None = None
    size: int | None = None
    proxy: str | None = None
    tries: int = 0
    done: int = 0
    total: int | None = None
    retry_after_s: float | None = None

    @property
    def host(self) -> str:
        """Return ``host:port`` of the address that is asked."""
        return host_and_port(self.asked)


def failure(
    attempt: Attempt, code: str, why: str, *, hints: Sequence[str], retryable: bool = False
) -> UnavailableError:
    """Build the error for one attempt; ``why`` is the cause in a few words."""
    kind = NotFoundError if code == "unavailable.not_found" else UnavailableError
    times = f" ({attempt.tries} tries)" if attempt.tries > 1 else ""
    through = f" through the proxy `{redact(attempt.proxy)}`" if attempt.proxy else ""
    context = {"host": attempt.host, "url": redact(attempt.asked), "tries": attempt.tries}
    if attempt.asked != attempt.url:
        context["mirror_of"] = redact(attempt.url)
    message = f"could not fetch {attempt.what} from `{attempt.host}`{through}: {why}{times}"
    return kind(code, message, hints=hints, retryable=retryable, context=context)


def from_status(attempt: Attempt, status: int) -> UnavailableError:
    """Translate an answer that is not the page."""
    if status in {404, 410}:
        return not_found(attempt)
    if status in {401, 403}:
        why = f"it refuses us (status {status})"
        hints = (
            "give the credentials for this host in the netrc file or in pip's configuration of the index",
        )
        return failure(attempt, "unavailable.forbidden", why, hints=hints)
    if status == 407:
        hints = ("give the proxy's user and password in `HTTPS_PROXY`",)
        return failure(attempt, "unavailable.proxy", "the proxy wants a password (status 407)", hints=hints)
    retryable = status >= 500 or status in {408, 425, 429}
    hints = ("run the same command again later",) if retryable else ("check the address",)
    return failure(
        attempt, "unavailable.status", f"it answered with status {status}", hints=hints, retryable=retryable
    )


def not_found(attempt: Attempt) -> UnavailableError:
    """There is no such page or file."""
    hints = ("check the address, or lock again if the file was moved or withdrawn",)
    return failure(attempt, "unavailable.not_found", "it has no such file", hints=hints)


def stopped(attempt: Attempt) -> UnavailableError:
    """We were told to stop."""
    return failure(
        attempt, "unavailable.stopped", "the transfer was stopped", hints=("run the same command again",)
    )


def web_page(attempt: Attempt) -> UnavailableError:
    """A web page came where a file was asked for: a login page, or the wrong address."""
    hints = (
        f"open `{attempt.host}` in a browser: the network may want a log-in",
        "check the address of the index, channel or mirror",
    )
    return failure(attempt, "unavailable.web_page", "it answered with a web page (text/html)", hints=hints)


def offline(attempt: Attempt) -> UnavailableError:
    """Nothing may be fetched and this is not here."""
    hints = ("run the command once without `--offline`",)
    return failure(attempt, "unavailable.offline", "we are offline and it is not in the store", hints=hints)


def too_large(attempt: Attempt, limit_bytes: int) -> UnavailableError:
    """More came than anything honest would send."""
    why = f"it sent more than {limit_bytes // 1024 // 1024} MiB"
    return failure(attempt, "unavailable.too_large", why, hints=("check the address",))


def bad_address(attempt: Attempt, why: str) -> UnavailableError:
    """Nobody can be asked at such an address."""
    return failure(attempt, "unavailable.address", why, hints=("correct the address",))


def bad_proxy(attempt: Attempt) -> UnavailableError:
    """The proxy is of a kind that we do not speak."""
    hints = ("name an http proxy in `HTTPS_PROXY`, or the host in `NO_PROXY`",)
    return failure(attempt, "unavailable.proxy", "the proxy is not an http proxy", hints=hints)


def bad_redirect(attempt: Attempt, why: str) -> UnavailableError:
    """The server sends us somewhere we do not go."""
    return failure(
        attempt, "unavailable.redirect", why, hints=("check the address of the index, channel or mirror",)
    )


def cut_off(attempt: Attempt) -> UnavailableError:
    """The body ended before the file did."""
    why = f"the transfer was cut off after {attempt.done} of {attempt.size} bytes"
    return failure(attempt, "unavailable.connection", why, hints=NETWORK_HINTS, retryable=True)


def bad_resume(attempt: Attempt) -> UnavailableError:
    """The answer to a range request does not go on where we were."""
    return failure(
        attempt, "unavailable.connection", "it resumed at another place", hints=NETWORK_HINTS, retryable=True
    )


def unreadable(attempt: Attempt, why: str) -> UnavailableError:
    """A local file that is there and cannot be read."""
    hints = ("check the file's permissions",)
    return failure(attempt, "unavailable.unreadable", why, hints=hints)


def too_long(attempt: Attempt) -> InstallError:
    """More comes than the locked file has."""
    why = f"it is longer than the {attempt.size} bytes that were expected"
    return _another_file(attempt, why, expected=attempt.size, got=attempt.total)


def hash_mismatch(attempt: Attempt, *, expected: str, got: str) -> InstallError:
    """The file has another digest than the locked one."""
    why = f"expected sha256 `{expected}`, got `{got}`"
    return _another_file(attempt, why, expected=expected, got=got)


def _another_file(
    attempt: Attempt, why: str, *, expected: str | int | None, got: str | int | None
) -> InstallError:
    return InstallError(
        "install.hash_mismatch",
        f"{attempt.what} from `{attempt.host}` is not the locked file: {why}",
        hints=(
            "find out why it changed before trusting it: the server or a mirror may serve another file",
            "lock again if the change is wanted",
        ),
        context={"url": redact(attempt.asked), "expected": expected, "got": got},
    )
