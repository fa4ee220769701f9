"""The books of a town in words, so that a new account changes no test."""

from townlet_jax.systems.economy import ACCOUNTS


def entries(state):
    """The accounts of a town's ledger that are not 0, in mills."""
    return {account: mills for account, mills in zip(ACCOUNTS, state.slots["economy"].ledger.tolist()) if mills}
