"""The settings that are secret: the signing keys, and passwords that production must not take from development."""

from pathlib import Path

from entrypoints.composition.variables import Variables

DEVELOPMENT_PASSWORD = "development-only"  # noqa: S105 - the one in docker-compose.yml, which production rejects


def read_keys(variables: Variables, directory: Path, *, is_production: bool) -> tuple[str | None, str | None]:
    """The key pair, as PEM. Production needs one, and not the one that development generated in the directory."""
    private_key, public_key = variables.text("PRIVATE_KEY"), variables.text("PUBLIC_KEY")
    if is_production and (private_key is None or public_key is None):
        variables.violation("PRIVATE_KEY, PUBLIC_KEY", "must be an RS256 key pair (PEM) in production")
    if private_key is not None or public_key is not None:
        # Loaded here only: most commands of development have no such keys, and cryptography takes long to load.
        from entrypoints.composition.signing_keys import key_violations  # noqa: PLC0415

        development = directory if is_production else None
        variables.violations += key_violations(private_key, public_key, development_directory=development)
    return private_key, public_key


def reject_development_passwords(variables: Variables) -> None:
    """The passwords in docker-compose.yml are public."""
    for variable in ("POSTGRES_PASSWORD", "POSTGRES_URL", "MONGODB_URI", "CACHE_URL"):
        text = variables.text(variable) or ""
        if text == DEVELOPMENT_PASSWORD or f":{DEVELOPMENT_PASSWORD}@" in text:
            variables.violation(
                variable, "has the password for development from docker-compose.yml; choose another"
            )
