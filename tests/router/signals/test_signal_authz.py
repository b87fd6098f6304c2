"""Callers are told apart by name and group, exactly."""

import pytest

from memrouter.config.routing import RoleBinding
from memrouter.models.turn import Identity
from memrouter.router.signals.authz import AuthzSignals
from memrouter.testing.turns import chat_turn

BINDINGS = [
    RoleBinding.model_validate(
        {
            "name": "staff-binding",
            "role": "staff",
            "subjects": [{"kind": "Group", "name": "engineers"}, {"kind": "User", "name": "ann"}],
        }
    ),
    RoleBinding.model_validate({"name": "guests", "subjects": [{"kind": "Group", "name": "visitors"}]}),
]
STAFF = {"staff-binding", "staff"}


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        (Identity(user_id="ann"), STAFF),
        (Identity(user_id="bob", groups=("other", "engineers")), STAFF),
        (Identity(user_id="bob", groups=("visitors", "engineers")), {*STAFF, "guests"}),
        (Identity(groups=("visitors",)), {"guests"}),
        (Identity(), set()),
        (Identity(user_id="Ann"), set()),
        (Identity(user_id="ann "), set()),
        (Identity(user_id="engineers"), set()),
        (Identity(user_id="bob", groups=("ann",)), set()),
        (Identity(user_id="bob", groups=("Engineers", "engineers,visitors")), set()),
    ],
)
async def test_binding_covers_its_subjects_only(identity: Identity, expected: set[str]) -> None:
    assert await AuthzSignals(BINDINGS).evaluate(chat_turn(identity=identity)) == expected
