"""The HTTP client: connections, certificates, proxies, redirects; the only module that loads httpx."""

import socket
import ssl
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import certifi
import httpx

from provisioner.engines.net import errors as failures
from provisioner.engines.net.addresses import check_address, origin_of, redact, redact_text, split_credentials
from provisioner.engines.net.errors import NETWORK_HINTS, Attempt, failure
from provisioner.engines.net.settings import NetworkSettings
from provisioner.errors import UnavailableError

if sys.platform == "win32":
    import truststore

_MOST_CONNECTIONS = 16
_MOST_REDIRECTS = 10
# OpenSSL's reasons where what comes first is no TLS record; the third is of OpenSSL 3.2 and later.
_NO_TLS = ("WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE", "HTTP_REQUEST")


class HttpClient:
    """Sends single requests; may be used by several threads at once."""

    def __init__(self, settings: NetworkSettings) -> None:
        """Open no connection yet."""
        self._settings = settings
        self._by_proxy: dict[str | None, httpx.Client] = {}
        self._logins: dict[str, tuple[str, str]] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connections; one that is opening is not waited for: it takes long, and dies with us."""
        if self._lock.acquire(blocking=False):
            for client in self._by_proxy.values():
                client.close()
            self._by_proxy.clear()
            self._lock.release()

    @contextmanager
    def open(
        self, method: str, attempt: Attempt, headers: Mapping[str, str], content: bytes | None = None
    ) -> Iterator[httpx.Response]:
        """Send one request, follow redirects, and yield the answer with its body unread.

        Raises:
            UnavailableError: There is no answer, it is an error's, or its body broke off inside the block.
        """
        if attempt.login:  # what an address carries serves the whole host: links on its pages carry none
            self._logins[origin_of(attempt.asked)] = attempt.login
        url = attempt.asked
        try:
            for _ in range(_MOST_REDIRECTS):
                attempt.proxy = self._settings.proxy_for(url)
                login = self._logins.get(origin_of(url)) or self._settings.credentials_for(url)
                if attempt.proxy and not attempt.proxy.startswith(("http://", "https://")):
                    raise failures.bad_proxy(attempt)
                client = self._client(attempt.proxy)
                with client.stream(method, url, headers=dict(headers), content=content, auth=login) as answer:
                    if not answer.has_redirect_location:
                        if answer.status_code >= 300 and answer.status_code not in {304, 416}:
                            attempt.retry_after_s = _retry_after_s(answer.headers)
                            raise failures.from_status(attempt, answer.status_code)
                        yield answer
                        return
                    target, _ = split_credentials(str(httpx.URL(url).join(answer.headers["location"])))
                allowed = ("https",) if url.startswith("https:") else ("https", "http")
                if why := check_address(target, schemes=allowed):
                    raise failures.bad_redirect(attempt, f"it sends us on to `{redact(target)}`: {why}")
                url = target
        except httpx.HTTPError as error:
            raise from_transport(attempt, error) from error
        except (httpx.InvalidURL, UnicodeError) as error:  # a name that IDNA does not have is the second
            raise failures.bad_address(attempt, "its address is malformed") from error
        raise failures.bad_redirect(attempt, f"it sends us on more than {_MOST_REDIRECTS} times")

    def _client(self, proxy: str | None) -> httpx.Client:
        with self._lock:
            if proxy not in self._by_proxy:
                self._by_proxy[proxy] = httpx.Client(
                    proxy=proxy,
                    verify=_make_ssl_context(self._settings.cert),
                    trust_env=False,
                    timeout=httpx.Timeout(
                        self._settings.stall_timeout_s, connect=self._settings.connect_timeout_s, pool=None
                    ),
                    headers={"user-agent": "provision"},
                    # More at once makes resolvers and proxies of small networks fail, and gains nothing.
                    limits=httpx.Limits(
                        max_connections=_MOST_CONNECTIONS, max_keepalive_connections=_MOST_CONNECTIONS
                    ),
                )
            return self._by_proxy[proxy]


def _make_ssl_context(cert: str | None) -> ssl.SSLContext:
    """Trust the user's bundle alone, else the system's authorities and Mozilla's.

    On Windows the system itself judges: it fetches authorities when they are first needed. Elsewhere OpenSSL
    reads the same files as truststore would, which reads them again, for 50 ms, with every connection and
    lets only one connection shake hands at a time.
    """
    if cert is None and sys.platform == "win32":
        context: ssl.SSLContext = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return context
    try:
        context = ssl.create_default_context(cafile=cert)
    except OSError as error:
        why = (error.strerror or "there is no certificate in it").lower()
        raise UnavailableError(
            "unavailable.tls",
            f"could not read the CA bundle `{cert}`: {why}",
            hints=("correct `SSL_CERT_FILE` or pip's `cert` setting",),
        ) from error
    if cert is None:  # small containers have no store of their own
        context.load_verify_locations(certifi.where())
    return context


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    value = headers.get("retry-after", "")
    return float(value) if value.isdecimal() else None


def from_transport(attempt: Attempt, error: httpx.HTTPError) -> UnavailableError:
    """Translate a failure below HTTP: names, connections, certificates, silence, broken bodies."""
    causes = tuple(_causes(error))
    reason = _reason(error, causes)
    tls = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
    if isinstance(tls, ssl.SSLCertVerificationError):
        return _untrusted(attempt, tls)
    if tls is not None and isinstance(error, httpx.ConnectError) and not isinstance(tls, ssl.SSLEOFError):
        return _no_handshake(attempt, tls)
    code, hints = "unavailable.connection", NETWORK_HINTS
    if isinstance(error, httpx.ProxyError) or (attempt.proxy and isinstance(error, httpx.ConnectError)):
        code, why = "unavailable.proxy", f"the proxy did not connect us: {reason}"
        hints = ("check `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, or pip's `proxy` setting",)
    elif isinstance(error, httpx.ConnectTimeout):
        code, why = "unavailable.timeout", "it did not accept the connection in time"
    elif isinstance(error, httpx.TimeoutException):
        code, why = "unavailable.timeout", f"it sent nothing more{_how_far(attempt)}"
    elif isinstance(error, httpx.ConnectError):
        why = reason
    else:
        why = f"the connection broke{_how_far(attempt)}: {reason}"
    return failure(attempt, code, why, hints=hints, retryable=True)


def _untrusted(attempt: Attempt, error: ssl.SSLCertVerificationError) -> UnavailableError:
    verify = error.verify_message or error.reason or str(error)
    hints = [
        "name your organisation's CA bundle in `SSL_CERT_FILE` or in pip's `cert` setting",
    ]
    if "expired" in verify or "not yet valid" in verify:
        hints.append("check this machine's clock")
    why = f"its certificate cannot be trusted: {verify.lower().replace('_', ' ')}"
    return failure(attempt, "unavailable.tls", why, hints=hints)


def _no_handshake(attempt: Attempt, error: ssl.SSLError) -> UnavailableError:
    """Translate an answer that is no TLS, or an alert: certificates were not looked at yet."""
    reason = error.reason or str(error)
    said = reason.lower().replace("_", " ")
    if any(sign in reason for sign in _NO_TLS):
        why = f"what answers there speaks no TLS, plain http perhaps ({said})"
        hints = ["check the address: `http` in place of `https`, or another port"]
    else:
        why = f"no TLS connection came about ({said})"
        hints = ["check the host's name and port, and ask who runs it which TLS versions it takes"]
    if attempt.proxy:
        hints.append(
            "check `HTTPS_PROXY` or pip's `proxy` setting: most proxies are named with `http://` there"
        )
    else:
        hints.append("ask whether this network wants a proxy, and name it in `HTTPS_PROXY`")
    return failure(attempt, "unavailable.tls", why, hints=hints)


def _how_far(attempt: Attempt) -> str:
    if not attempt.done:
        return ""
    total = f" of {attempt.total}" if attempt.total is not None else ""
    return f" after {attempt.done}{total} bytes"


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _reason(error: httpx.HTTPError, causes: Sequence[BaseException]) -> str:
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            return "the host's name could not be resolved"
        if isinstance(cause, ssl.SSLEOFError):
            return "it hung up"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
    return redact_text(str(error)).lower().rstrip(".") or type(error).__name__
