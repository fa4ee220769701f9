"""Every invariant can fail: a sound town, one thing wrong in it, and the rule that must notice."""

import jax
import jax.numpy as jnp
import pytest
from everything import EVERYTHING
from tampered import agents, slot

from townlet_jax import engine, load, testing
from townlet_jax.core import fixed
from townlet_jax.systems import ORDER
from townlet_jax.systems.intents import VERBS
from townlet_jax.systems.occasions import SUCCESS
from townlet_jax.testing.invariants import BY_SYSTEM, people
from townlet_jax.types import NOTHING


@pytest.fixture(scope="module")
def world():
    return load("town", **EVERYTHING)


@pytest.fixture(scope="module")
def sound(world):
    """A town after one tick in which all wait, with the agents in order."""
    state, nobody = jax.jit(engine.reset)(world, jax.random.key(0)), jnp.zeros(world.static.num_agents, jnp.int32)
    state = jax.jit(engine.step)(world, state, nobody, jax.random.key(1))
    return state.replace(intent=state.intent.replace(priority=jnp.arange(world.static.num_agents, dtype=jnp.int8)))


CHECK = jax.jit(testing.invariants)


def intent(state, **fields):
    """The town with some fields of agent 0's intent replaced."""
    return state.replace(
        intent=state.intent.replace(**{n: getattr(state.intent, n).at[0].set(v) for n, v in fields.items()})
    )


def dead(state, **fields):
    """The town with agent 0 long dead."""
    return agents(state, alive=False, **{"needs": 0, "wallet": 0, "items": 0, **fields})


def uses(state, offer=0, facility=0):
    """The town with agent 0 using a facility from where it is."""
    state = slot(state, "queues", facility=facility)
    return slot(state, "affordances", offer=offer, remaining=3)


def cell_of(state, agent):
    return state.agents.cell[agent]


def of_kind(world, kind):
    """The first facility of a kind."""
    return int((world.map.facility_kind == world.static.names.kinds.index(kind)).argmax())


def whole(state, name, **fields):
    """The town with some fields of one system's private state replaced."""
    return state.put(**{name: state.slots[name].replace(**fields)})


def entry(state, name, row=0, **fields):
    """The same for one row of tables that are not about agents."""
    return slot(state, name, row, **fields)


def part(state, name, field, row=0, **fields):
    """The same for the tables in a part of a private state."""
    old = getattr(state.slots[name], field)
    new = {key: getattr(old, key).at[row].set(value) for key, value in fields.items()}
    return whole(state, name, **{field: old.replace(**new)})


def fair(state, **fields):
    return part(state, "queues", "fair", **fields)


def rage(state, **fields):
    old = state.slots["queues"].fair
    new = {key: getattr(old.rage, key).at[0].set(value) for key, value in fields.items()}
    return whole(state, "queues", fair=old.replace(rage=old.rage.replace(**new)))


def called(state, **fields):
    return part(state, "perturbations", "people", **fields)


def clocks(state, **fields):
    return part(state, "lifecycle", "clocks", **fields)


def s_past(state):
    return state.slots["perturbations"].past.shape[1]


def begun(world, state, kind):
    """The first event of a kind is on, and nobody was told."""
    return entry(state, "perturbations", world.params["perturbations"].kinds.index(kind), ends=state.tick + 9)


def cheap(state):
    """An event that makes food cost less than nothing extra."""
    return entry(entry(state, "perturbations", ends=state.tick + 9), "perturbations", magnitude=1)


def everywhere(state):
    """Agent 0 is called twice; a second row is needed for that."""
    people = state.slots["perturbations"].people
    return whole(state, "perturbations", people=people.replace(called=people.called.at[:, 0].set(True)))


def talk(state, speaker, partner):
    """One talks to another, and well."""
    return slot(state, "chat", speaker, partner=partner, outcome=SUCCESS, quality=fixed.SHARE)


def tie(state, owner, other, **fields):
    old = state.slots["relationships"]
    return state.put(
        relationships=old.replace(**{n: getattr(old, n).at[owner, other].set(v) for n, v in fields.items()})
    )


def hears(state, witness, other):
    """One hears another argue in public."""
    return whole(state, "arguments", witness=state.slots["arguments"].witness.at[witness, other].set(True))


def ended(state, number):
    """Some lives end in this tick for a reason."""
    who = jnp.arange(state.terminated.shape[0]) < number
    fate = state.slots["lifecycle"]
    fate = fate.replace(reason=who.astype(jnp.int8), clocks=fate.clocks.replace(today=jnp.int8(number)))
    return state.replace(terminated=who).put(lifecycle=fate)


FAULTS = {
    # people
    "needs in bounds": lambda w, s: agents(s, needs=fixed.NEED + 1),
    "wallets not negative": lambda w, s: agents(s, wallet=-1),
    "items in bounds": lambda w, s: agents(s, items=101),
    "on walkable cells": lambda w, s: agents(s, cell=0),
    "one agent a cell": lambda w, s: agents(s, cell=cell_of(s, 1)),
    "the dead own nothing": lambda w, s: dead(s, wallet=1),
    "who ended is dead": lambda w, s: s.replace(terminated=s.terminated.at[0].set(True)),
    "no reward for the dead": lambda w, s: dead(s).replace(reward=s.reward.at[0].set(1)),
    # intents
    "verbs exist": lambda w, s: intent(s, verb=len(VERBS)),
    "facilities exist": lambda w, s: intent(s, facility=w.static.num_facilities),
    "options exist": lambda w, s: slot(s, "intents", option=-1),
    "commitment not negative": lambda w, s: slot(s, "intents", commit=-1),
    "priority is an order": lambda w, s: intent(s, priority=1),
    "the dead want nothing": lambda w, s: slot(dead(s), "intents", option=0),
    "orders exist": lambda w, s: slot(s, "intents", order=len(w.static.actions.names)),
    "nobody possesses the dead": lambda w, s: slot(dead(s), "intents", possessed=True),
    "entries are done or not": lambda w, s: whole(s, "timeline", failed=jnp.int8(-1)),
    # events, utilities, weather
    "an event is off or will end": lambda w, s: entry(s, "perturbations", ends=s.tick),
    "put off to a later tick": lambda w, s: entry(s, "perturbations", due=s.tick),
    "price factors in bounds": lambda w, s: cheap(s),
    "spikes in bounds": lambda w, s: entry(s, "perturbations", magnitude=fixed.SHARE - 1),
    "starts are remembered in order": lambda w, s: entry(s, "perturbations", past=jnp.arange(s_past(s))),
    "nobody has to leave in an outage": lambda w, s: begun(w, s, "outage"),
    "nobody is called to two meetings": lambda w, s: everywhere(s),
    "who is called is called to something": lambda w, s: called(s, called=True),
    "the dead are not called": lambda w, s: called(dead(s), calls=1),
    "meeting points exist": lambda w, s: called(s, target=-1),
    "calls in bounds": lambda w, s: called(s, calls=-1),
    "faults pass": lambda w, s: entry(s, "utilities", down=-1),
    "nothing runs without its utilities": lambda w, s: entry(
        uses(s, facility=of_kind(w, "shower")), "utilities", 1, down=5
    ),
    "weather exists": lambda w, s: whole(s, "weather", kind=jnp.int8(3)),
    "weather ends": lambda w, s: whole(s, "weather", left=jnp.int16(-1)),
    # movement, queues, offers, goods
    "patience in bounds": lambda w, s: slot(s, "movement", blocked=-1),
    "the dead are no ghosts": lambda w, s: slot(dead(s), "movement", ghost=True),
    "rest in bounds": lambda w, s: slot(s, "movement", rest=-1),
    "the dead do not rest": lambda w, s: slot(dead(s), "movement", rest=1),
    "queues without gaps": lambda w, s: slot(s, "queues", facility=0, place=1),
    "no place without a queue": lambda w, s: slot(s, "queues", facility=NOTHING, idle=1),
    "the dead do not queue": lambda w, s: slot(dead(s), "queues", facility=0),
    "no reservation beyond its limit": lambda w, s: fair(s, held=121),
    "held by holders only": lambda w, s: fair(s, held=1),
    "the refused do not queue": lambda w, s: fair(slot(s, "queues", facility=0), cooldown=3),
    "cooldowns in bounds": lambda w, s: fair(s, cooldown=-1),
    "waiting in bounds": lambda w, s: fair(s, waited=-1),
    "queue counters not negative": lambda w, s: fair(s, counts=-1),
    "quarrels have a partner": lambda w, s: slot(s, "queues", intensity=102),
    "the dead neither wait nor quarrel": lambda w, s: slot(dead(s), "queues", handover=1),
    "who storms off stands in no queue": lambda w, s: rage(slot(s, "queues", facility=0), storms=True),
    "times overtaken in bounds": lambda w, s: rage(s, overtaken=61),
    "overtaken by somebody": lambda w, s: rage(s, overtaken=1),
    "the dead are calm": lambda w, s: rage(dead(s), storms=True),
    "remaining ticks in bounds": lambda w, s: slot(s, "affordances", remaining=-1),
    "only the holder uses": lambda w, s: slot(s, "affordances", remaining=3),
    "users stand at it": lambda w, s: uses(s),
    "the facility makes the offer": lambda w, s: uses(s, offer=4),
    "nothing runs for the dead": lambda w, s: slot(dead(s), "affordances", finished=True),
    "reputations in bounds": lambda w, s: entry(s, "reputation", score=fixed.NEED + 1),
    "ages not negative": lambda w, s: slot(s, "spoilage", units=-1),
    "nothing older than its shelf life": lambda w, s: slot(s, "spoilage", units=1),
    "ages of what one can carry": lambda w, s: slot(s, "spoilage", units=60),
    "the dead keep nothing": lambda w, s: slot(dead(s), "spoilage", units=1),
    # money and work
    "money adds up": lambda w, s: agents(s, wallet=s.agents.wallet[0] + 1),
    "stock in bounds": lambda w, s: s.replace(facilities=s.facilities.replace(stock=s.facilities.stock + jnp.int16(1))),
    "unpaid days not negative": lambda w, s: slot(s, "economy", unpaid=-1),
    "the dead owe nothing": lambda w, s: slot(dead(s), "economy", unpaid=1),
    "price factor in bounds": lambda w, s: whole(s, "tuner", factor=w.params["tuner"].bounds[1].astype(jnp.int16) + 1),
    "attendance is a share": lambda w, s: slot(s, "employment", attended=fixed.SHARE + 1),
    "pay not negative": lambda w, s: slot(s, "employment", pay=-1),
    "the dead do not work": lambda w, s: slot(dead(s), "employment", present=1),
    "shift events exist": lambda w, s: slot(s, "employment", event=-1),
    "nothing happens to the dead": lambda w, s: slot(dead(s), "employment", event=1),
    "timesheets not negative": lambda w, s: slot(s, "timesheets", paid=-1),
    "late within the day": lambda w, s: slot(s, "timesheets", late_ticks=w.static.ticks_per_day + 1),
    "a day pays a coin a tick at most": lambda w, s: slot(
        s, "timesheets", withheld=w.static.ticks_per_day * fixed.COIN + 1
    ),
    "the dead have no timesheet": lambda w, s: slot(dead(s), "timesheets", lateness=1),
    "a post has one holder": lambda w, s: slot(s, "hiring", post=s.slots["hiring"].post[1]),
    "posts exist": lambda w, s: slot(s, "hiring", post=w.static.num_posts),
    "the dead have no post": lambda w, s: slot(dead(s), "hiring", post=NOTHING, settled=True),
    "hirings to sit out in bounds": lambda w, s: slot(s, "hiring", barred=101),
    "the exit queue has no gaps": lambda w, s: slot(s, "reviews", pending=True, place=1),
    "no case outside the exit queue": lambda w, s: slot(s, "reviews", waited=1),
    "the dismissed wait no longer": lambda w, s: slot(s, "reviews", pending=True, dismissed=True),
    "the dead have no case": lambda w, s: slot(dead(s), "reviews", dismissed=True),
    "exits of a day in bounds": lambda w, s: whole(s, "reviews", exits=jnp.int8(-1)),
    # chats and ties
    "outcomes exist": lambda w, s: slot(s, "chat", outcome=-1),
    "a talk has a partner": lambda w, s: slot(s, "chat", partner=1),
    "one talk each": lambda w, s: talk(talk(s, 0, 1), 1, 0),
    "quality of good talks": lambda w, s: slot(s, "chat", quality=1),
    "silence in bounds": lambda w, s: slot(s, "chat", cooldown=-1),
    "topics in bounds": lambda w, s: slot(s, "chat", topics=8),
    "the dead are silent": lambda w, s: slot(dead(s), "chat", cooldown=1),
    "ties in bounds": lambda w, s: tie(s, 0, 1, trust=fixed.TIE + 1),
    "rivalry in bounds": lambda w, s: tie(s, 0, 1, rivalry=fixed.TIE + 1),
    "no tie with oneself": lambda w, s: tie(s, 0, 0, trust=1),
    "no more ties than one keeps": lambda w, s: slot(s, "relationships", trust=1),
    "no tie with who is gone": lambda w, s: tie(dead(s), 1, 0, familiarity=1),
    "counters of relationships in bounds": lambda w, s: slot(s, "relationships", behind=-1),
    "the dead avoid nobody": lambda w, s: slot(dead(s), "relationships", wanted=0),
    "who argues hears no argument": lambda w, s: hears(hears(s, 0, 1), 1, 2),
    "the dead neither argue nor hear": lambda w, s: hears(dead(s), 1, 0),
    "quarrels of a day in bounds": lambda w, s: slot(s, "spirals", quarrels=61),
    "the dead have no bad day": lambda w, s: slot(dead(s), "spirals", spirals=True),
    # character, identity, fate
    "who was put to bed is at home": lambda w, s: agents(slot(s, "nights", moved=True), cell=cell_of(s, 1)),
    "traits in bounds": lambda w, s: slot(s, "personality", traits=fixed.SHARE + 1),
    "profiles exist": lambda w, s: slot(s, "personality", profile=-1),
    "the living are of this generation": lambda w, s: slot(s, "personality", seen=1),
    "the dead have no character": lambda w, s: slot(dead(s), "personality", profile=1),
    "every birth is counted": lambda w, s: whole(s, "personality", births=jnp.int32(0)),
    "traits are those of the profile": lambda w, s: slot(s, "personality", traits=1),
    "the living have an identity": lambda w, s: slot(s, "identities", identity=-1),
    "the dead have no identity": lambda w, s: dead(s),
    "identities are unique": lambda w, s: slot(s, "identities", identity=s.slots["identities"].identity[1]),
    "those in line are free": lambda w, s: entry(s, "identities", turn=99),
    "the line has no gap": lambda w, s: entry(s, "identities", -1, turn=99),
    "every birth has an identity": lambda w, s: whole(s, "identities", allocated=jnp.int32(0)),
    "forced reuses in bounds": lambda w, s: whole(s, "identities", forced=jnp.int32(1)),
    "released in the past": lambda w, s: entry(s, "identities", released=s.tick + 1),
    "fates in bounds": lambda w, s: slot(s, "lifecycle", since=101),
    "nobody comes to a living one's slot": lambda w, s: slot(s, "lifecycle", arrives=1),
    "an end has a reason": lambda w, s: slot(s, "lifecycle", reason=1),
    "generations not negative": lambda w, s: agents(s, generation=-1),
    "nothing earned around a death": lambda w, s: slot(s, "lifecycle", since=3).replace(
        reward=s.reward.at[0].set(9**6)
    ),
    "notice in bounds, 0 for the dead": lambda w, s: clocks(s, notice=-1),
    "jobless in bounds, 0 for the dead": lambda w, s: clocks(s, jobless=-1),
    "neglected in bounds, 0 for the dead": lambda w, s: clocks(s, neglected=-1),
    "left in bounds, 0 for the dead": lambda w, s: dead(s),
    "waiting in bounds, 0 for the dead": lambda w, s: clocks(s, waiting=-1),
    "no more exits than a day allows": lambda w, s: ended(s, 3),
    "exits keep their distance": lambda w, s: ended(s, 2),
}


def broken(world, state):
    return {rule for rule, holds in CHECK(world, state).items() if not holds}


def test_a_sound_town_breaks_no_rule(world, sound):
    assert broken(world, sound) == set()


@pytest.mark.parametrize("rule", FAULTS)
def test_every_rule_notices(world, sound, rule):
    assert rule in broken(world, FAULTS[rule](world, sound))


def test_no_rule_is_left_out(world, sound):
    """Of no system that there is; two rules of one name would be one."""
    assert {system.name for system in world.static.systems} == {system.name for system in ORDER}
    assert set(testing.invariants(world, sound)) == set(FAULTS)
    own = [rule for system in ORDER for rule in system.rules(world, sound)]
    shared = [rule for more in BY_SYSTEM.values() for rule in more(world, sound)] + list(people(world, sound))
    assert len({*own, *shared}) == len(own) + len(shared)


def test_two_on_a_cell_are_allowed_if_one_is_a_ghost(world, sound):
    shared = agents(sound, cell=cell_of(sound, 1))
    assert "one agent a cell" not in broken(world, slot(shared, "movement", agent=1, ghost=True))
