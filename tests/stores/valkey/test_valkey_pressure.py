"""How full the server is, as it says itself."""

from hypothesis import given
from hypothesis import strategies as st

from memrouter.config.memory import ValkeySettings
from memrouter.stores.pressure import Pressure, Pressured
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.pressure import ask_pressure, read_pressure
from memrouter.stores.valkey.store import ValkeyStore
from memrouter.testing.valkey import ValkeyServer

INFO = b"# Memory\r\nused_memory:300\r\nused_memory_human:300B\r\nmaxmemory:400\r\nmaxmemory_human:400B\r\n"


async def test_a_server_with_a_limit_tells_how_full_it_is() -> None:
    async with ValkeyServer(search=False, args=("--maxmemory", "64mb")) as server:
        connection = await Connection.open(ValkeySettings(host="127.0.0.1", port=server.port))
        try:
            pressure = await ask_pressure(connection)
            assert pressure is not None
            assert pressure.limit_bytes == 64 * 1024 * 1024
            assert 100_000 < pressure.used_bytes < pressure.limit_bytes
            await connection.run(("CONFIG", "SET", "maxmemory", "0"))
            assert await ask_pressure(connection) is None
            await connection.run(("ACL", "SETUSER", "default", "-info"))
            assert await ask_pressure(connection) is None
        finally:
            await connection.aclose()


async def test_the_store_can_be_asked(valkey_store: ValkeyStore) -> None:
    assert isinstance(valkey_store, Pressured)
    found = await valkey_store.pressure()
    assert found is None or found.used_bytes > 0


def test_what_a_server_says_is_read() -> None:
    assert read_pressure(INFO) == Pressure(300, 400)
    assert read_pressure(INFO.decode()) == Pressure(300, 400)
    assert read_pressure(INFO.replace(b"maxmemory:400", b"maxmemory:0")) is None
    assert read_pressure(INFO.replace(b"used_memory:300", b"used_memory:lots")) is None
    assert read_pressure(None) is None


async def test_of_a_cluster_the_node_nearest_to_its_limit_counts() -> None:
    class Cluster(Connection):
        def __init__(self) -> None:
            pass

        async def run(self, args: object, *, beside: str | None = None) -> object:
            return {b"a:1": INFO, b"b:1": INFO.replace(b"300\r", b"380\r"), b"c:1": b"garbage"}

    assert await ask_pressure(Cluster()) == Pressure(380, 400)


@given(
    st.binary()
    | st.text()
    | st.lists(st.sampled_from([INFO, b"used_memory:", b"maxmemory:\xff", b"9" * 30])).map(b"".join)
)
def test_no_reply_is_too_strange(reply: bytes | str) -> None:
    pressure = read_pressure(reply)
    assert pressure is None or pressure.limit_bytes > 0
