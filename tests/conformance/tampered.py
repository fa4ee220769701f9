"""Towns with something changed behind the rules, for tests of the rules."""


def agents(state, agent=0, **fields):
    """The town with some fields of one agent replaced."""
    new = {name: getattr(state.agents, name).at[agent].set(value) for name, value in fields.items()}
    return state.replace(agents=state.agents.replace(**new))


def slot(state, name, agent=0, **fields):
    """The town with some fields of one system's private state replaced, for one agent."""
    old = state.slots[name]
    return state.put(
        **{name: old.replace(**{field: getattr(old, field).at[agent].set(v) for field, v in fields.items()})}
    )
