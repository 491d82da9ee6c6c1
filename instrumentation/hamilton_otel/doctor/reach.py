"""Says whether a server can be reached and, where not, why: its name, its port, silence, TLS. Not for sending."""

from __future__ import annotations

import os
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies, select_proxy

CONNECT_SECONDS: Final = 5.0
"""How long a connection may take."""
TLS_SECONDS: Final = 1.0
"""How long a port that is said to be plain may think about a TLS greeting."""
OBJECTION_SECONDS: Final = 0.2
"""How long a server may take to refuse the certificate of the client."""
_WRONG_NAME: Final = (62, 64)
_EXPIRED: Final = 10
"""Codes of OpenSSL: https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/#error-codes."""


class Trouble(Exception):
    """Something is wrong: *detail* says what, *mend* what to do; together they are one sentence."""

    def __init__(self, detail: str, mend: str) -> None:
        super().__init__(f"{detail}; {mend}.")
        self.detail = detail
        self.mend = mend


@dataclass(frozen=True, slots=True)
class Trust:
    """The PEM files of a TLS connection and the settings that name them.

    Without ``certificate`` the usual authorities are trusted.
    """

    certificate: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None
    setting: str = "REQUESTS_CA_BUNDLE"
    client_setting: str = "a certificate of the client"


@dataclass(frozen=True, slots=True)
class Address:
    """Where *setting* says that a server is; ``secure`` means TLS, ``protocol`` is ``http/1.1`` or ``h2``."""

    host: str
    port: int
    secure: bool
    setting: str
    trust: Trust = Trust()
    protocol: str = "http/1.1"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def address_of(url: str, setting: str, trust: Trust = Trust()) -> Address:
    """Return where a request of *url* connects to: the host that it names, or the proxy of the environment."""
    proxy = select_proxy(url, get_environ_proxies(url, no_proxy=None))
    if proxy is not None:
        setting, trust = f"{urlsplit(url).scheme}_proxy".upper(), Trust()
        url = proxy if "://" in proxy else f"http://{proxy}"
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    return Address(parts.hostname or "localhost", parts.port or (443 if secure else 80), secure, setting, trust)


def reach(address: Address, seconds: float) -> None:
    """Connect to *address*, and speak TLS where it is said to; wait *seconds* for each, ``CONNECT_SECONDS`` at most.

    Raises :class:`Trouble`, which tells a name that is not found, a closed port, silence, a certificate that is not
    trusted and TLS on one side only from each other.
    """
    seconds = min(seconds, CONNECT_SECONDS)
    with _connect(address, seconds) as connection:
        if address.secure:
            _shake_hands(address, connection, seconds)
    if not address.secure and _speaks_tls(address, min(seconds, TLS_SECONDS)):
        raise Trouble(f"{address} speaks TLS, but {address.setting} does not", f"write https:// in {address.setting}")


def _connect(address: Address, seconds: float) -> socket.socket:
    try:
        return socket.create_connection((address.host, address.port), seconds)
    except (socket.gaierror, UnicodeError):
        raise Trouble(f"the name {address.host!r} is not found", f"correct it in {address.setting}") from None
    except ConnectionRefusedError:
        raise Trouble(f"nothing listens on {address}", f"start the server or correct {address.setting}") from None
    except TimeoutError:
        mend = f"let firewalls pass it or correct {address.setting}"
        raise Trouble(f"{address} does not answer within {seconds:g} s", mend) from None
    except OSError as error:
        raise Trouble(f"{address} cannot be reached ({_reason(error)})", f"correct {address.setting}") from None


def _shake_hands(address: Address, connection: socket.socket, seconds: float) -> None:
    plain = f"write http:// in {address.setting} or name a port that speaks TLS"
    try:
        with _context(address).wrap_socket(connection, server_hostname=address.host) as secured:
            _hear_objection(secured)
    except ssl.SSLCertVerificationError as error:
        raise _distrust(address, error) from None
    except TimeoutError:
        raise Trouble(f"{address} does not answer a TLS greeting within {seconds:g} s", plain) from None
    except (ssl.SSLError, ConnectionError) as error:
        if not _is_alert(error):
            raise Trouble(f"{address} does not speak TLS, but {address.setting} does", plain) from None
        mend = f"set {address.trust.client_setting} if it asks for one"
        raise Trouble(f"{address} refuses our TLS ({_reason(error)})", mend) from None


def _hear_objection(secured: ssl.SSLSocket) -> None:
    """Raise SSLError where the server ends the connection: in TLS 1.3 it sees our certificate after the handshake."""
    if secured.version() == "TLSv1.3":
        secured.settimeout(OBJECTION_SECONDS)
        with suppress(TimeoutError, ConnectionError):
            secured.recv(1)


def _distrust(address: Address, error: ssl.SSLCertVerificationError) -> Trouble:
    whose = f"the certificate of {address}"
    if error.verify_code in _WRONG_NAME:
        return Trouble(f"{whose} is for another name", f"write the name that it is for in {address.setting}")
    if error.verify_code == _EXPIRED:
        return Trouble(f"{whose} has expired", "have it renewed")
    mend = f"set {address.trust.setting} to the PEM file of the authority that signed it"
    return Trouble(f"{whose} is not trusted ({error.verify_message})", mend)


def _context(address: Address) -> ssl.SSLContext:
    trust = address.trust
    usual = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or DEFAULT_CA_BUNDLE_PATH
    try:
        context = ssl.create_default_context(cafile=trust.certificate or usual)
    except OSError as error:  # SSLError is one
        raise _unreadable(trust.setting, error) from None
    context.set_alpn_protocols([address.protocol])
    if trust.client_certificate:
        try:
            context.load_cert_chain(trust.client_certificate, trust.client_key)
        except OSError as error:
            raise _unreadable(trust.client_setting, error) from None
    return context


def _unreadable(setting: str, error: OSError) -> Trouble:
    return Trouble(f"the file of {setting} cannot be used ({_reason(error)})", "name a file in PEM format")


def _speaks_tls(address: Address, seconds: float) -> bool:
    """Tell whether a port that is said to be plain answers a TLS greeting."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection((address.host, address.port), seconds) as connection:
            context.wrap_socket(connection, server_hostname=address.host).close()
            return True
    except OSError as error:
        return _is_alert(error)


def _is_alert(error: OSError) -> bool:
    """Tell whether a server that speaks TLS has ended the handshake."""
    return isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or "")


def _reason(error: OSError) -> str:
    reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
    return (reason or str(error)).replace("_", " ").lower()
