"""Keys of cases whose reference is personal: an HMAC takes the reference's place in key and subject. Pure.

The same reference gives the same key for as long as the secret lives, so that order per case holds; without the
secret nobody can try references out. Whoever may see the data finds the reference itself in it.
"""

import hmac
from typing import Final

KEY_HEX_DIGITS: Final = 32


def case_key(secret: bytes, organisation: str, case_ref: str) -> str:
    """Return what stands for a personal case reference: 128 bits of HMAC-SHA-256 in hexadecimal.

    The organisation is part of it, so that equal references of two councils give different keys.
    """
    named = f"{len(organisation)}:{organisation}{len(case_ref)}:{case_ref}".encode()
    return hmac.new(secret, named, "sha256").hexdigest()[:KEY_HEX_DIGITS]
