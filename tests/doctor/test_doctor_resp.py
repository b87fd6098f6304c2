"""The plain connection, against servers that answer badly."""

import asyncio
import contextlib
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.config.memory import MemorySettings, ValkeySettings
from memrouter.doctor.address import ServerAddress
from memrouter.doctor.findings import Finding, Level
from memrouter.doctor.reach import Reach
from memrouter.doctor.resp import Refused, RespConnection
from memrouter.doctor.valkey import ValkeyExamination
from memrouter.embeddings.base import EmbedderInfo
from memrouter.errors import StoreUnavailable
from memrouter.testing.clock import ManualClock

Answer = Callable[[bytes], bytes]


@contextlib.asynccontextmanager
async def answering(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve on a free port what ``answer`` makes of each piece that comes in; nothing back = hang up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while (piece := await reader.read(65_536)) and (reply := answer(piece)):
                writer.write(reply)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def ask(reply: bytes) -> object:
    reader = asyncio.StreamReader()
    reader.feed_data(reply)
    reader.feed_eof()
    connection = RespConnection(reader, _Sink(), patience=5)  # type: ignore[arg-type]  # only write and drain are used
    return await connection.run(["PING"])


class _Sink:
    def write(self, data: bytes) -> None:
        self.data = data

    async def drain(self) -> None:
        return


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        (b"+OK\r\n", b"OK"),
        (b":-7\r\n", -7),
        (b"$3\r\na\r\n\r\n", b"a\r\n"),
        (b"$-1\r\n", None),
        (b"*-1\r\n", None),
        (b"*2\r\n:1\r\n*1\r\n$0\r\n\r\n", [1, [b""]]),
    ],
)
async def test_replies_are_read(reply: bytes, value: object) -> None:
    assert await ask(reply) == value


async def test_an_error_reply_is_raised_with_its_code() -> None:
    with pytest.raises(Refused, match="NOPERM no") as caught:
        await ask(b"-NOPERM no\r\n")
    assert caught.value.code == "NOPERM"


@given(st.binary(max_size=200) | st.sampled_from([b"*" * 40, b"*1\r\n" * 40, b"$99999999999\r\n", b"*9999999\r\n"]))
def test_any_bytes_are_a_reply_or_one_of_two_errors(reply: bytes) -> None:
    with contextlib.suppress(Refused, StoreUnavailable):
        asyncio.run(ask(reply))


async def walk(port: int, **changes: object) -> list[Finding]:
    settings = ValkeySettings.model_validate({"host": "127.0.0.1", "port": port, "timeout": 2, **changes})
    findings: list[Finding] = []
    reach = Reach(ServerAddress.of_store(settings), name="valkey", report=findings.append, clock=ManualClock())
    connection = await reach.connect()
    if connection is not None:
        await connection.aclose()
    return findings


async def test_a_password_that_a_server_repeats_is_not_shown() -> None:
    async with answering(lambda piece: b"-ERR unknown command with args " + piece.split(b"\r\n")[-2] + b"\r\n") as port:
        findings = await walk(port, password="s3cret")
    assert findings[-1].level is Level.BROKEN
    assert "s3cret" not in repr(findings)


async def test_a_server_of_another_kind_is_broken_not_a_crash() -> None:
    async with answering(lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        findings = await walk(port)
    assert findings[-1].level is Level.BROKEN
    assert "not of the Redis protocol" in findings[-1].seen


async def test_a_server_that_hangs_up_may_want_tls() -> None:
    async with answering(lambda _: b"") as port:
        findings = await walk(port)
    assert "closed the connection" in findings[-1].seen
    assert "tls_enabled: true" in findings[-1].fix


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a self-signed certificate for 127.0.0.1 and its key."""
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    command = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(file), "-out", f"{file}.crt",
    ]  # fmt: skip
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    file.write_text(file.read_text() + Path(f"{file}.crt").read_text())
    return file


@pytest.mark.parametrize(
    ("trusted", "skip", "level", "text"),
    [
        (True, False, Level.OK, "the certificate is trusted"),
        (False, False, Level.BROKEN, "is not trusted"),
        (False, True, Level.WARNING, "tls_insecure_skip_verify: true"),
    ],
)
async def test_certificates_are_judged(
    certificate: Path, *, trusted: bool, skip: bool, level: Level, text: str
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    ca = str(certificate) if trusted else ""
    async with answering(lambda _: b"+PONG\r\n", context) as port:
        findings = await walk(port, tls_enabled=True, tls_ca_path=ca, tls_insecure_skip_verify=skip)
    (finding,) = [one for one in findings if one.check == "valkey tls"]
    assert finding.level is level
    assert text in finding.seen
    assert (findings[-1].check == "valkey authentication") is (level is not Level.BROKEN)


@pytest.mark.parametrize(
    "reply", [b"+OK\r\n", b":1\r\n", b"*0\r\n", b"$-1\r\n", b"*2\r\n:1\r\n:2\r\n", b"*1\r\n$1\r\nx\r\n"]
)
async def test_replies_of_the_wrong_form_do_not_end_the_examination(reply: bytes) -> None:
    findings: list[Finding] = []
    embedder = EmbedderInfo(model="m", dimension=8, default_threshold=0.5)
    async with answering(lambda _: reply) as port:
        memory = MemorySettings(valkey=ValkeySettings(host="127.0.0.1", port=port, timeout=2))
        await ValkeyExamination(memory, embedder, report=findings.append, clock=ManualClock()).run()
    assert any(finding.check == "index" and finding.level is Level.BROKEN for finding in findings)
