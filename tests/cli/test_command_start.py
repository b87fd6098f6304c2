import builtins
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import pytest

from memrouter.__main__ import INTERRUPTED_EXIT, run


def test_ctrl_c_while_modules_are_read_ends_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def interrupted(
        name: str,
        globals: Mapping[str, Any] | None = None,  # noqa: A002 - the name that __import__ has
        locals: Mapping[str, Any] | None = None,  # noqa: A002 - the name that __import__ has
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> ModuleType:
        if name == "memrouter.cli.main":
            raise KeyboardInterrupt
        return real(name, globals, locals, fromlist, level)

    monkeypatch.setattr(builtins, "__import__", interrupted)
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code == INTERRUPTED_EXIT
