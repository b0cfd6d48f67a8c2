import stat
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from adapters.auth.keys import KEY_FILE, PUBLIC_KEYS_MAX, UnusableKey, load_key_pair
from tests.unit.adapters.auth.pem import private_pem, public_pem


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65_537, 2_048)


def with_other_number(key: rsa.RSAPrivateKey, number: int, other: int) -> str:
    """The PEM of a key in which another number of the same length replaces one of its numbers."""
    bytes_of = partial(int.to_bytes, length=(number.bit_length() + 7) // 8, byteorder="big")
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    assert bytes_of(number) in der
    changed = b64encode(der.replace(bytes_of(number), bytes_of(other))).decode()
    return f"-----BEGIN PRIVATE KEY-----\n{changed}\n-----END PRIVATE KEY-----\n"


def test_a_key_is_generated_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    directory = tmp_path / "data"

    first = load_key_pair(None, None, directory=directory)
    second = load_key_pair(None, None, directory=directory)

    assert first.key_id == second.key_id
    assert first.derived_secret("cursor") == second.derived_secret("cursor")
    assert stat.S_IMODE((directory / KEY_FILE).stat().st_mode) == 0o600
    assert [path.name for path in directory.iterdir()] == [KEY_FILE]


def test_a_damaged_key_file_is_refused_with_its_path(tmp_path: Path, key: rsa.RSAPrivateKey) -> None:
    path, numbers = tmp_path / KEY_FILE, key.private_numbers()
    damaged = [
        "no key",
        with_other_number(key, numbers.p, numbers.p - 2),
        with_other_number(key, numbers.public_numbers.n, numbers.public_numbers.n - 2),
    ]
    for content in damaged:
        path.write_text(content)
        with pytest.raises(UnusableKey, match="is damaged") as caught:
            load_key_pair(None, None, directory=tmp_path)
        assert str(path) in str(caught.value)


def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        pairs = list(pool.map(lambda _: load_key_pair(None, None, directory=tmp_path), range(4)))

    assert len({pair.key_id for pair in pairs}) == 1
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]


def test_keys_of_the_settings_are_used_and_nothing_is_kept(tmp_path: Path, key: rsa.RSAPrivateKey) -> None:
    pair = load_key_pair(private_pem(key), public_pem(key), directory=tmp_path)

    assert pair.accepted[pair.key_id].public_numbers() == key.public_key().public_numbers()
    assert list(tmp_path.iterdir()) == []


def test_a_pem_on_one_line_is_read(key: rsa.RSAPrivateKey) -> None:
    one_line = private_pem(key).replace("\n", "\\n")

    assert load_key_pair(one_line, None).key_id == load_key_pair(private_pem(key), None).key_id


def test_secrets_for_other_purposes_differ(key: rsa.RSAPrivateKey) -> None:
    pair = load_key_pair(private_pem(key), None)

    assert pair.derived_secret("cursor") != pair.derived_secret("csrf")
    assert len(pair.derived_secret("cursor")) == 32


def test_unusable_keys_are_rejected_without_being_shown(key: rsa.RSAPrivateKey) -> None:
    other = rsa.generate_private_key(65_537, 2_048)
    weak = rsa.generate_private_key(65_537, 1_024)
    curve = ec.generate_private_key(ec.SECP256R1())
    refused = [
        ("secret text", None, "PRIVATE_KEY is not"),
        (private_pem(curve), None, "not an RSA key"),
        (private_pem(weak), None, "1024 bits"),
        (private_pem(key), public_pem(other), "does not belong"),
        (private_pem(key), "secret text", "PUBLIC_KEY must contain"),
        (None, public_pem(key), "PRIVATE_KEY is missing"),
        (private_pem(key), public_pem(key) + public_pem(weak), "1024 bits"),
        (private_pem(key), public_pem(key) + "secret text", "one after the other"),
        (private_pem(key), public_pem(key) * (PUBLIC_KEYS_MAX + 1), "one after the other"),
    ]

    for private, public, message in refused:
        with pytest.raises(UnusableKey, match=message) as caught:
            load_key_pair(private, public)
        assert "secret text" not in str(caught.value)


def test_the_private_key_signs_and_all_public_keys_are_accepted(key: rsa.RSAPrivateKey) -> None:
    other = rsa.generate_private_key(65_537, 2_048)
    both = (public_pem(other) + public_pem(key)).replace("\n", "\\n")

    pair = load_key_pair(private_pem(key), both)

    assert pair.accepted[pair.key_id].public_numbers() == key.public_key().public_numbers()
    assert pair.accepted.keys() == {pair.key_id, load_key_pair(private_pem(other), None).key_id}
