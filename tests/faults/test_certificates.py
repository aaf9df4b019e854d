"""A client certificate that expires: said with its code, and a renewed one is taken without a restart."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backbone.config import Deployment, load
from backbone.errors import UnreachableError
from backbone.kafka.certificates import valid_until
from backbone.kafka.connection import KafkaConnection
from backbone.reporting import PULSE
from backbone.testing.rows import events, faults, rows, write
from backbone.worker import Worker
from tests.faults.authority import Authority
from tests.faults.conftest import Stricken
from tests.faults.watching import settled, shown, until

DAY = timedelta(days=1)


def secured(stricken: Stricken, certificate: Path, key: Path) -> str:
    """Return the lines of a deployment file that make the connection a TLS one."""
    return (
        f"security_protocol: SSL, ca_file: {stricken.authority.file}, certificate_file: {certificate}, key_file: {key}"
    )


@pytest.mark.parametrize("valid_for", [DAY, timedelta(days=365 * 40), -DAY])
def test_the_end_of_a_certificate_is_read_from_it(tmp_path: Path, valid_for: timedelta) -> None:
    """Both ways in which X.509 writes a time, of this century, are understood."""
    certificate, _ = Authority(tmp_path).issue("client", valid_for)
    ends = valid_until(certificate.read_bytes())
    assert abs(ends - datetime.now(UTC) - valid_for) < timedelta(minutes=1)


@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_said_so(tmp_path: Path, content: bytes) -> None:
    """Files that are missing, empty or cut short have their own code, and no trace is shown."""
    authority = Authority(tmp_path)
    certificate, key = authority.issue("client", DAY)
    certificate.write_bytes(content)
    connection = KafkaConnection(
        "127.0.0.1:1", security_protocol="SSL", ca_file=authority.file, certificate_file=certificate, key_file=key
    )
    for broken in (connection, replace(connection, certificate_file=tmp_path / "nowhere")):
        with pytest.raises(UnreachableError) as caught:
            broken.options()
        assert caught.value.code == "broker.certificate-unusable"


@pytest.mark.usefixtures("impatient")
@pytest.mark.xdist_group("stricken")
async def test_fault_33_expired_certificate(stricken: Stricken, stricken_deployment: Deployment) -> None:
    """Nothing is lost while our certificate has expired, the status says so, and a renewed file is taken at once.

    First one that has expired before the worker begins; then one under a running worker, which shows when the broker
    comes back and connections are made anew. Its place is taken by an expired one, so that nobody waits for the day.
    """
    certificate, key = stricken.authority.issue("client", -DAY)
    made = stricken_deployment
    text = made.path.read_text().replace(stricken.direct, stricken.tls)
    made.path.write_text(
        text.replace("replication_factor", f"{secured(stricken, certificate, key)}, replication_factor")
    )
    deployment = load(made.path)
    wanted = list(rows(300))
    write(deployment.path.parent / "drop" / "20310106_a.csv", wanted[:100])
    worker = Worker(deployment.worker_settings())
    status = worker.shards[0].status
    running = asyncio.create_task(worker.run())
    await until(lambda: shown(worker) == ("STUCK", "broker.certificate-expired"))
    stricken.authority.issue("client", DAY)
    await until(lambda: status.documents == 1)
    assert status.stalled_code == ""
    await settled(made)
    await stricken.kafka.kill()
    stricken.authority.issue("client", -DAY)
    await stricken.kafka.start()
    write(deployment.path.parent / "drop" / "20310107_a.csv", wanted[100:])
    await until(lambda: shown(worker) == ("STUCK", "broker.certificate-expired"), secs=60)
    assert status.documents == 1
    stricken.authority.issue("client", DAY)
    await until(lambda: status.documents == 2, secs=60)
    worker.stop()
    assert await running == 0
    assert faults(await events(made.connection, made.organisation), wanted) == []


async def test_a_broker_that_does_not_answer_is_explained_by_our_certificate(
    tmp_path: Path, deploy: Callable[..., Deployment]
) -> None:
    """What every feed waits for names the certificate, whoever noticed first that no broker answers."""
    authority = Authority(tmp_path)
    certificate, key = authority.issue("client", -DAY)
    connection = KafkaConnection(
        "127.0.0.1:1", security_protocol="SSL", ca_file=authority.file, certificate_file=certificate, key_file=key
    )
    worker = Worker(replace(deploy().worker_settings(), connection=connection))
    worker.reporter.waits.begin(PULSE, patience_secs=-1)
    assert shown(worker) == ("STUCK", "broker.certificate-expired")
    authority.issue("client", DAY)
    assert shown(worker) == ("STUCK", "broker.unreachable")
