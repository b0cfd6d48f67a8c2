"""A stand-in for Google's sign-in: a small OpenID provider on 127.0.0.1 that checks what the real one checks.

It believes nobody: client, secret, redirect URI, PKCE and codes must all be right, else it refuses as Google does. A
test may make it lie, break or fall silent, one way at a time.
"""

import base64
import hashlib
import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import time
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT_ID = "tandem-client"
CLIENT_SECRET = "the client's secret"
HOST = "http://tandem.test"
CALLBACK = f"{HOST}/v1/auth/google/callback"
UI = "https://ui.example/app?tab=1"
BODY_BYTES_MAX = 64 * 1024
PKCE_LENGTH = 43


@cache
def signing_key(number: int) -> rsa.RSAPrivateKey:
    """The numbered key; making one takes a while, so all servers of a run share them."""
    return rsa.generate_private_key(65_537, 2_048)


@dataclass(slots=True)
class Grant:
    """What a code stands for."""

    redirect_uri: str
    nonce: str
    challenge: str


@dataclass(slots=True)
class StandInGoogle:
    """What the stand-in knows, and how it misbehaves."""

    url: str
    redirect_uris: set[str] = field(default_factory=set)
    person: dict[str, Any] = field(
        default_factory=lambda: {"email": "anna@example.org", "email_verified": True, "name": "Anna Berg"}
    )
    claims: dict[str, Any] = field(default_factory=dict)
    """Claims of the next id tokens that are not what they should be; None leaves one out."""
    key_number: int = 0
    published: set[int] = field(default_factory=lambda: {0})
    """The keys that it says are its own."""
    algorithm: str = "RS256"
    broken: dict[str, int] = field(default_factory=dict)
    """The status that a path answers instead of working."""
    silent: set[str] = field(default_factory=set)
    """The paths that never answer."""
    denies: str | None = None
    """The error that people are sent back with."""
    grants: dict[str, Grant] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    """The paths of all requests, in order."""
    shown: list[str] = field(default_factory=list)
    """The queries of all requests for authorization."""
    closing: threading.Event = field(default_factory=threading.Event)

    def id_token(self, nonce: str) -> str:
        """A signed statement about the person."""
        now = int(time())
        right = {
            "iss": self.url,
            "aud": CLIENT_ID,
            "azp": CLIENT_ID,
            "sub": "1234567890",
            "iat": now,
            "exp": now + 3_600,
            "nonce": nonce,
            **self.person,
        }
        told = {name: value for name, value in {**right, **self.claims}.items() if value is not None}
        headers = {"kid": f"key-{self.key_number}"}
        if self.algorithm == "none":
            return jwt.encode(told, None, "none", headers=headers)  # type: ignore[arg-type]
        if self.algorithm == "HS256":
            return jwt.encode(told, CLIENT_SECRET * 3, "HS256", headers=headers)
        return jwt.encode(told, signing_key(self.key_number), self.algorithm, headers=headers)

    def configuration(self) -> dict[str, Any]:
        """What it says about itself."""
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
        }

    def keys(self) -> dict[str, Any]:
        """Its public keys, and one of a kind that nobody here can use."""
        listed = [
            {
                **json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(signing_key(number).public_key())),
                "kid": f"key-{number}",
                "use": "sig",
                "alg": "RS256",
            }
            for number in sorted(self.published)
        ]
        return {"keys": [{"kty": "EC", "kid": "curve", "crv": "P-256"}, *listed]}

    def authorize(self, query: dict[str, str]) -> str:
        """Where the browser goes next. Raises ValueError for what Google shows an error page for."""
        if query.get("client_id") != CLIENT_ID or query.get("redirect_uri") not in self.redirect_uris:
            raise ValueError("unknown client or redirect_uri")
        if query.get("response_type") != "code" or "openid" not in query.get("scope", "").split():
            raise ValueError("not a request for a code")
        if (
            query.get("code_challenge_method") != "S256"
            or len(query.get("code_challenge", "")) != PKCE_LENGTH
        ):
            raise ValueError("no PKCE")
        if len(query.get("state", "")) < PKCE_LENGTH or len(query.get("nonce", "")) < PKCE_LENGTH:
            raise ValueError("no state or nonce")
        if self.denies is not None:
            outcome = {"error": self.denies}
        else:
            code = secrets.token_urlsafe(16)
            self.grants[code] = Grant(query["redirect_uri"], query["nonce"], query["code_challenge"])
            outcome = {"code": code, "scope": query["scope"], "authuser": "0", "prompt": "none"}
        return f"{query['redirect_uri']}?{urlencode({'state': query['state'], **outcome})}"

    def redeem(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Status and answer for a code; each is good once, whatever comes of it."""
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return 401, {"error": "invalid_client"}
        grant = self.grants.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if (
            form.get("grant_type") != "authorization_code"
            or grant is None
            or grant.redirect_uri != form.get("redirect_uri")
            or grant.challenge != challenge
        ):
            return 400, {"error": "invalid_grant"}
        return 200, {
            "access_token": "unused",
            "token_type": "Bearer",
            "expires_in": 3599,
            "id_token": self.id_token(grant.nonce),
        }


class _Handler(BaseHTTPRequestHandler):
    """Translates between HTTP and the stand-in."""

    stand_in: StandInGoogle

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if not self._works(parts.path):
            return
        if parts.path == "/.well-known/openid-configuration":
            self._answer(200, self.stand_in.configuration())
        elif parts.path == "/jwks":
            self._answer(200, self.stand_in.keys())
        elif parts.path == "/authorize":
            self.stand_in.shown.append(parts.query)
            try:
                self._answer(302, {}, location=self.stand_in.authorize(_single(parts.query)))
            except ValueError as error:
                self._answer(400, {"error": str(error)})
        else:
            self._answer(404, {})

    def do_POST(self) -> None:
        length = min(int(self.headers.get("Content-Length", "0")), BODY_BYTES_MAX)
        form = _single(self.rfile.read(length).decode())
        if self._works(self.path):
            self._answer(*self.stand_in.redeem(form) if self.path == "/token" else (404, {}))

    def log_message(self, *args: Any) -> None:
        """Tests say for themselves what went wrong."""

    def _works(self, path: str) -> bool:
        self.stand_in.asked.append(path)
        if path in self.stand_in.silent:
            self.stand_in.closing.wait()
            return False
        if path in self.stand_in.broken:
            self._answer(self.stand_in.broken[path], {"error": "server_error"})
            return False
        return True

    def _answer(self, status: int, document: dict[str, Any], *, location: str | None = None) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if location is not None:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)


def _single(query: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(query).items()}


@contextmanager
def running_google() -> Iterator[StandInGoogle]:
    """The stand-in, listening; ended with the block."""

    class Handler(_Handler):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Handler.stand_in = StandInGoogle(f"http://127.0.0.1:{server.server_address[1]}")
    listening = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    listening.start()
    try:
        yield Handler.stand_in
    finally:
        Handler.stand_in.closing.set()
        server.shutdown()
        server.server_close()
        listening.join()


def client_settings(google: StandInGoogle, **more: str) -> dict[str, str]:
    """The settings of a service at HOST that signs people in with this stand-in."""
    return {
        "GOOGLE_OAUTH_CLIENT_ID": CLIENT_ID,
        "GOOGLE_OAUTH_CLIENT_SECRET": CLIENT_SECRET,
        "GOOGLE_OAUTH_ISSUER": google.url,
        "PUBLIC_URL": HOST,
        "UI_URL": UI,
        **more,
    }
