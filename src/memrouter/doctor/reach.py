"""The way to a server, step by step: name, TCP, TLS, authentication, database."""

import asyncio
import socket
import ssl
from collections.abc import Callable

from memrouter.clock import Clock
from memrouter.doctor.address import ServerAddress
from memrouter.doctor.findings import Finding, broken, ok, warning
from memrouter.doctor.resp import Refused, RespConnection
from memrouter.errors import StoreUnavailable

Report = Callable[[Finding], None]


class Reach:
    """Walks to one server and reports every step.

    Args:
        address: Where it is.
        name: Leads the names of the checks, such as ``valkey``.
        report: Takes the findings, in order.
        clock: Times the connection.
    """

    def __init__(self, address: ServerAddress, *, name: str, report: Report, clock: Clock) -> None:
        self._address = address
        self._name = name
        self._report = report
        self._clock = clock

    async def connect(self) -> RespConnection | None:
        """Return a connection that is logged in and has its database; None where a step failed."""
        if not await self._resolve() or not await self._reach():
            return None
        context = await self._trust() if self._address.tls else None
        if self._address.tls and context is None:
            return None
        connection = await self._open(context)
        if connection is None:
            return None
        finding = await self._log_in(connection)
        self._report(finding)
        if finding.level:
            await connection.aclose()
            return None
        return connection

    async def _resolve(self) -> bool:
        host, section = self._address.host, self._address.section
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._address.patience):
                found = await loop.getaddrinfo(host, self._address.port, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or "no answer from the name server"
            self._report(
                broken(
                    self._check("name"),
                    f"the name {host!r} has no address ({reason})",
                    why="without an address there is nothing to connect to; no check behind this one was possible",
                    fix=f"see that the name resolves (nslookup {host}), or set {section} to another host",
                )
            )
            return False
        addresses = sorted({str(item[4][0]) for item in found})
        self._report(ok(self._check("name"), f"{host} is {', '.join(addresses[:4])}"))
        return True

    async def _reach(self) -> bool:
        address, began = self._address, self._clock.monotonic()
        try:
            connection = await RespConnection.open(address.host, address.port, patience=address.patience)
        except TimeoutError:
            self._report(
                self._unreachable(f"connection timeout: {address} did not answer within {address.patience:g} s")
            )
            return False
        except OSError as error:
            self._report(self._unreachable(f"no connection to {address} ({_reason(error)})"))
            return False
        took = (self._clock.monotonic() - began) * 1000
        await connection.aclose()
        self._report(ok(self._check("tcp"), f"{address} takes connections ({took:.0f} ms)"))
        return True

    def _unreachable(self, seen: str) -> Finding:
        return broken(
            self._check("tcp"),
            seen,
            why="the router works without memory until it can connect; no check behind this one was possible",
            fix=f"check that the server runs and that no firewall is between: nc -zv {self._address.host} "
            f"{self._address.port}; correct {self._address.section}, or raise its timeout if the network is slow",
        )

    async def _trust(self) -> ssl.SSLContext | None:
        ca_path, section = self._address.ca_path, self._address.section
        try:
            context = await asyncio.to_thread(_context, ca_path, self._address.verify)
        except (OSError, ValueError) as error:
            self._report(
                broken(
                    self._check("tls"),
                    f"the CA file {ca_path} cannot be used ({_reason(error)})",
                    why="without it the server's certificate cannot be checked",
                    fix=f"set {section}.tls_ca_path to a readable PEM file with the authority's certificate",
                )
            )
            return None
        return context

    async def _open(self, context: ssl.SSLContext | None) -> RespConnection | None:
        address = self._address
        try:
            connection = await RespConnection.open(
                address.host, address.port, tls=context, server_name=address.host, patience=address.patience
            )
        except (OSError, TimeoutError) as error:
            self._report(self._no_tls(error) if context else self._unreachable(f"no connection ({_reason(error)})"))
            return None
        if context is not None:
            self._report(self._encrypted())
        return connection

    def _encrypted(self) -> Finding:
        if self._address.verify:
            return ok(self._check("tls"), "the connection is encrypted and the certificate is trusted")
        return warning(
            self._check("tls"),
            "the connection is encrypted, but the certificate is not checked (tls_insecure_skip_verify: true)",
            why="whoever can redirect the connection reads the password and all memories",
            fix=f"set {self._address.section}.tls_ca_path to the authority's file and tls_insecure_skip_verify: false",
        )

    def _no_tls(self, error: Exception) -> Finding:
        section = self._address.section
        if isinstance(error, ssl.SSLCertVerificationError):
            return broken(
                self._check("tls"),
                f"the server's certificate is not trusted: {error.verify_message}",
                why="the router refuses a server that it cannot recognise",
                fix=f"set {section}.tls_ca_path to the file of the authority that signed it, and {section}.host to a "
                "name in the certificate",
            )
        return broken(
            self._check("tls"),
            f"the server did not agree on TLS ({_reason(error)})",
            why="tls_enabled is true, but this port seems not to speak TLS",
            fix=f"set {section}.port to the server's tls-port, or set tls_enabled: false",
        )

    async def _log_in(self, connection: RespConnection) -> Finding:
        address = self._address
        password = address.password.get_secret_value()
        try:
            if password or address.username:
                user = [address.username] if address.username else []
                await connection.run(["AUTH", *user, password])
            await connection.run(["PING"])
            if address.database:
                await connection.run(["SELECT", address.database])
        except Refused as error:
            return self._refused(error)
        except StoreUnavailable as error:
            return self._silent(str(error))
        who = address.username or "the default user"
        how = "with a password" if password else "without a password"
        return ok(self._check("authentication"), f"logged in as {who} {how}, database {address.database}")

    def _refused(self, error: Refused) -> Finding:
        # The server's words may repeat what was sent, password included: only those known not to are shown.
        section, check, text = self._address.section, self._check("authentication"), str(error)
        why = "the router is refused in the same way"
        if error.code == "WRONGPASS":
            return broken(
                check,
                "wrong password or unknown user (WRONGPASS)",
                why=why,
                fix=f"correct {section}.username and {section}.password; an administrator sees the users with: "
                + self._address.admin_cli("ACL", "USERS"),
            )
        if error.code == "NOAUTH":
            fix = f"set {section}.password, for example to ${{VALKEY_PASSWORD}}"
            return broken(check, "the server wants a password, and none is configured (NOAUTH)", why=why, fix=fix)
        if "without any password configured" in text:
            return broken(
                check,
                "a password is configured here, but the server has none",
                why=why,
                fix=f"remove {section}.password, or protect the server: "
                + self._address.admin_cli("CONFIG", "SET", "requirepass", "NEW_PASSWORD"),
            )
        if "DB index" in text or "SELECT is not allowed" in text:
            fix = f"set {section} to a database that the server has (its setting databases), such as 0"
            return broken(check, f"the server has no database {self._address.database}", why=why, fix=fix)
        if error.code == "NOPERM":
            fix = self._address.admin_cli(
                "ACL", "SETUSER", self._address.username or "default", "+@connection", "+select"
            )
            return broken(check, "the user may not even use PING and SELECT (NOPERM)", why=why, fix=fix)
        if error.code == "LOADING":
            fix = "wait, and run memrouter doctor again"
            return broken(check, "the server is still loading its data (LOADING)", why=why, fix=fix)
        fix = f"look into the server's log, and check {section}"
        return broken(check, f"the server refused the login ({error.code[:32]})", why=why, fix=fix)

    def _silent(self, reason: str) -> Finding:
        section = self._address.section
        fix = "see whether the server is stopped or overloaded: " + self._address.cli("PING")
        if not self._address.tls:
            fix += f"; if this port speaks TLS, set {section}.tls_enabled: true"
        return broken(
            self._check("authentication"),
            f"connected, but {reason}",
            why="the router waits for each command until its timeout and goes on without memory",
            fix=fix,
        )

    def _check(self, step: str) -> str:
        return f"{self._name} {step}"


def _context(ca_path: str, verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_path or None)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _reason(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, ssl.SSLError):
        return error.reason or "TLS error"
    return getattr(error, "strerror", None) or ("no answer in time" if isinstance(error, TimeoutError) else "closed")
