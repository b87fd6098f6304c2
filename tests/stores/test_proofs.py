"""Proofs are held for those who were asked for last."""

from memrouter.stores.proofs import Proof, Proofs


def test_the_last_proof_of_an_owner_is_held() -> None:
    proofs = Proofs()
    assert proofs.get("alice") is None
    proofs.keep("alice", Proof(1, 2))
    proofs.keep("alice", Proof(3, 4))
    assert proofs.get("alice") == Proof(3, 4)


def test_the_one_used_longest_ago_goes_first() -> None:
    proofs = Proofs(capacity=2)
    proofs.keep("alice", Proof(1, 1))
    proofs.keep("bob", Proof(2, 2))
    proofs.get("alice")
    proofs.keep("cyd", Proof(3, 3))
    assert [proofs.get(name) is None for name in ("alice", "bob", "cyd")] == [False, True, False]
