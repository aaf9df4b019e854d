"""What is wrong with a connection, in words: the client says only that it could not connect."""

import asyncio
import ssl
from typing import Any, Final

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from backbone.errors import UnreachableError
from backbone.kafka.connection import KafkaConnection
from backbone.kafka.producer import classified

TRY_SECS: Final = 5.0
_REFUSED: Final = (AuthenticationFailedError, SaslAuthenticationFailed, UnsupportedSaslMechanismError)


async def explained(error: BaseException, connection: KafkaConnection) -> BaseException:
    """Return what to do about a client's error, as ``classified`` does, and tell bad credentials from no broker."""
    mapped = classified(error, connection.principal)
    if mapped is error or not isinstance(mapped, UnreachableError) or not connection.has_sockets:
        return mapped
    try:
        await ensure_reachable(connection)
    except UnreachableError as reason:
        return reason
    return mapped


async def ensure_reachable(connection: KafkaConnection) -> None:
    """Return when one broker of those named takes us in; raises UnreachableError with the reason of the last one."""
    problem: UnreachableError | None = None
    options = {name: value for name, value in connection.options().items() if name != "bootstrap_servers"}
    for host, port, _ in collect_hosts(connection.bootstrap_servers):
        try:
            opened: Any = await asyncio.wait_for(
                create_conn(host, port, request_timeout_ms=int(TRY_SECS * 1_000), **options), TRY_SECS
            )
        except (KafkaError, OSError, TimeoutError) as error:
            problem = _problem(error, f"{host}:{port}", connection.principal)
        else:
            opened.close()
            return
    raise problem or UnreachableError("no broker is named", guidance="set bootstrap_servers")


def _problem(error: Exception, address: str, principal: str) -> UnreachableError:
    if isinstance(error, _REFUSED):
        return UnreachableError(
            f"the broker at {address} refuses the credentials of {principal or 'nobody'}",
            code="broker.credentials-refused",
            guidance="look at the user name, the password and the SASL mechanism",
        )
    if isinstance(error, ssl.SSLError):
        return UnreachableError(
            f"no TLS with the broker at {address} ({type(error).__name__})",
            guidance="look at the CA file, the certificate and the security protocol",
        )
    return UnreachableError(
        f"no broker answers at {address} ({type(error).__name__})",
        guidance="look at the address, the network and the security protocol",
    )
