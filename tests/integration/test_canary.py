"""Personal values that are planted in drops are found in the data of events and in raw rejects, and nowhere else."""

import asyncio
import os
import sys
from collections.abc import Callable

from backbone.config import Deployment
from backbone.kafka.readers import matching_topics, read_topics
from backbone.provisioning import apply

NAME, NINO, ADDRESS = "Canaria Plantedname", "QQ123456C", "17 Canary Planted Row"
FEEDS = """
  - {name: history, adapter: symology-history, source: {type: files, url: drop, pattern: "*.xml", ready_after_secs: 0}}
  - {name: deaths, adapter: gro-deaths, source: {type: files, url: drop, pattern: "*.gro", ready_after_secs: 0},
     options: {publish: full}}
  - {name: updates, adapter: symology, source: {type: files, url: drop, pattern: "*.csv", ready_after_secs: 0}}
"""
HISTORY = f"""<GetRequestResult><Request><OutCRNo>00000412</OutCRNo>
<Customers><CustomerGet><FullName>{NAME}</FullName><Reference>{NINO}</Reference></CustomerGet></Customers>
<EventHistory><EventHistoryGet><LineNo>1</LineNo><HistoryDate>2031-06-14</HistoryDate><HistoryTime>15:05</HistoryTime>
<HistoryType>19</HistoryType>
<HistoryDescription>Spoke to {NAME}, {NINO}, at {ADDRESS}</HistoryDescription></EventHistoryGet>
<EventHistoryGet><LineNo>2</LineNo><HistoryDate>{ADDRESS}</HistoryDate><HistoryType>19</HistoryType></EventHistoryGet>
</EventHistory></Request></GetRequestResult>"""
DEATHS = f"""<DeathRegistrationGroup><DeathRegistration><RegistrationID>1</RegistrationID>
<RecordLockedDateTime>2031-03-01T10:00:00</RecordLockedDateTime><DeceasedName><PersonFamilyName>{NAME}</PersonFamilyName>
</DeceasedName><DeceasedGender>1</DeceasedGender><PartialYearOfDeath>2031</PartialYearOfDeath>
<DeceasedAddress><Line>{ADDRESS}</Line></DeceasedAddress></DeathRegistration>
<DeathRegistration><RegistrationID>{NINO}</RegistrationID><RecordLockedDateTime>2031-03-01T10:00:00</RecordLockedDateTime>
<DeceasedName/><DeceasedGender>{NAME}</DeceasedGender><PartialYearOfDeath>{NINO}</PartialYearOfDeath></DeathRegistration>
<RecordCount>2</RecordCount></DeathRegistrationGroup>"""
UPDATES = f"""History Date/Time,Recorded Date,CRNo,Stage Desc.,Date Cleared,Inspection,LCA,Action Due,Event Type,Stage
{ADDRESS},11/06/2031,{NAME},RECORDED,,,,CR,,1
14/06/2031 09:05,11/06/2031,{NINO},RECORDED,,,,CR,,1
14/06/2031 09:05,{NAME}
"""


async def test_planted_values_stay_in_the_data(deploy: Callable[..., Deployment]) -> None:
    """Keys, headers, receipts, state, status, control and the log of a worker never hold a name, NINO or address."""
    deployment = deploy(FEEDS)
    await apply(deployment)
    drop = deployment.path.parent / "drop"
    (drop / "a.xml").write_text(HISTORY)
    (drop / "a.gro").write_text(DEATHS)
    (drop / "a.csv").write_text(UPDATES)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "backbone", "run", "--once", "--log-json", "--config", str(deployment.path),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env={**os.environ},
    )  # fmt: skip
    assert process.stdout is not None
    places = {"the log": await process.stdout.read()}
    assert await process.wait() == 0
    data = b""
    topics = await matching_topics(deployment.connection, [rf"{deployment.organisation}\..*"])
    async for record in read_topics(deployment.connection, topics):
        place = f"{record.topic}/{record.partition}/{record.offset}"
        places[f"key and headers of {place}"] = repr((record.key, record.headers)).encode()
        if record.topic.endswith((".v1", ".rejects")):
            data += record.value or b""
        else:
            places[f"value of {place}"] = record.value or b""
    leaks = [
        f"{planted} in {place}"
        for place, content in places.items()
        for planted in (NAME, NINO, ADDRESS)
        if planted.encode() in content
    ]
    assert leaks == []
    assert all(planted.encode() in data for planted in (NAME, NINO, ADDRESS)), "the canaries were not planted"
    assert b"document.finished" in places["the log"]
