"""The plan of a drawn town: how many there are of everything, how large the blocks are, and who builds on which lot.

Lines of blocks lie between streets; a block is a park, or two rows of lots, one behind the other. The seed moves all of it, and
never the size of the map or the number of anything.
"""

from typing import NamedTuple

from .buildings import MOST, PUBLIC
from .draws import Draws
from .schema import GenerateConfig

MARGIN = 3  # cells of wood and meadow around the town
STREET = 2  # cells
MOST_CELLS = 256  # each way
BLOCK_ROWS, BLOCK_COLUMNS = 16, 20  # least of a block: two lots, one behind the other
LOT_ROWS = BLOCK_ROWS // 2
NAMES = ("homes", "tills", "counters", "desks", "gym showers", "benches")  # of `Counts`


class Counts(NamedTuple):
    """How many there are of everything."""

    homes: int
    till: int
    counter: int
    desk: int
    gym_shower: int
    bench: int


class Plan(NamedTuple):
    """The blocks: the first row and the rows of each line of blocks, the same for columns."""

    height: int
    width: int
    tops: list[int]
    heights: list[int]
    lefts: list[int]
    widths: list[int]


class Lot(NamedTuple):
    """Half a block: the street is to the north or to the south of it."""

    top: int
    left: int
    rows: int
    columns: int
    north: bool


def up(number: int, share: int) -> int:
    """A quotient rounded up."""
    return -(-number // share)


def counts(config: GenerateConfig, num_agents: int) -> Counts:
    """What the settings say, or else what so many people need: two of each kind of shop at least, and a post for everybody."""
    tills = config.tills or max(2, up(num_agents, 8))
    counters = config.counters or max(2, up(num_agents, 8))
    return Counts(
        homes=config.homes or up(num_agents, config.residents),
        till=tills,
        counter=counters,
        desk=config.desks or max(4, num_agents - tills - counters),
        gym_shower=config.gym_showers or max(3, up(num_agents, 6)),
        bench=config.benches or max(4, up(num_agents, 4)),
    )


def shares(number: int, most: int) -> list[int]:
    """A number in the fewest parts of at most `most`, as equal as can be."""
    parts = up(number, most)
    return [number // parts + (part < number % parts) for part in range(parts)]


def blocks(number: Counts) -> int:
    """How many blocks hold all that: four homes, two public buildings or one park each."""
    lots = sum(len(shares(getattr(number, kind), MOST[kind])) for kind in PUBLIC) + up(number.homes, 2)
    return up(lots, 2) + len(shares(number.bench, MOST["bench"]))


def extent(across: int, down: int) -> tuple[int, int]:
    """The least rows and columns of a map with so many blocks; without avenues there are no ways between the streets."""
    rows = 2 * MARGIN + (down + 1) * STREET + down * BLOCK_ROWS
    return rows, 2 * MARGIN + (across - 1) * STREET + across * BLOCK_COLUMNS


def size(config: GenerateConfig, number: Counts) -> tuple[int, int, int, int]:
    """Rows and columns of the map, blocks across and down.

    Raises:
        ValueError: the town does not fit.
    """
    need = blocks(number)
    shapes = [(across, up(need, across)) for across in range(2, need + 2)]
    across, down = min(shapes, key=lambda shape: (sum(extent(*shape)), shape))  # the shortest ways
    rows, columns = extent(across, down)
    town = ", ".join(f"{count} {name}" for count, name in zip(number, NAMES))
    least = f"{town} need {need} blocks, such as a map of {rows} x {columns}"
    if config.size is None:
        rows, columns = rows + down, columns + across  # room to differ from seed to seed
    else:
        rows, columns = config.size
        across = (columns - 2 * MARGIN + STREET) // (BLOCK_COLUMNS + STREET)
        down = (rows - 2 * MARGIN - STREET) // (BLOCK_ROWS + STREET)
    if max(rows, columns) > MOST_CELLS:
        raise ValueError(f"{least}: allowed are at most {MOST_CELLS} cells each way")
    if across < 2 or down < 1 or across * down < need:
        raise ValueError(f"{least}; {rows} x {columns} holds {max(across, 0) * max(down, 0) if across > 1 else 0}")
    return rows, columns, across, down


def lay_out(draws: Draws, rows: int, columns: int, across: int, down: int) -> Plan:
    """Blocks of sizes that differ a little and fill the map."""
    spare_rows, spare_columns = (whole - least for whole, least in zip((rows, columns), extent(across, down)))
    heights = [BLOCK_ROWS + more for more in draws.split(spare_rows, down)]
    widths = [BLOCK_COLUMNS + more for more in draws.split(spare_columns, across)]
    tops = [MARGIN + STREET + sum(heights[:j]) + j * STREET for j in range(down)]
    lefts = [MARGIN + sum(widths[:i]) + i * STREET for i in range(across)]
    return Plan(rows, columns, tops, heights, lefts, widths)


def zone(
    draws: Draws, plan: Plan, number: Counts
) -> tuple[list[Lot], list[tuple[str, int, Lot]], list[Lot], list[Lot]]:
    """Who builds where: parks (whole blocks), public buildings towards the middle, homes around them, and what stays empty."""
    places = [(j, i) for j in range(len(plan.tops)) for i in range(len(plan.lefts))]
    whole = lambda j, i: Lot(plan.tops[j], plan.lefts[i], plan.heights[j], plan.widths[i], True)
    middle = lambda lot: (
        abs(2 * lot.top + lot.rows - plan.height) + abs(2 * lot.left + lot.columns - plan.width) + draws.below(40)
    )
    num_parks = len(shares(number.bench, MOST["bench"]))
    mixed = draws.shuffled(places)
    parks, others = [whole(*place) for place in mixed[:num_parks]], [whole(*place) for place in mixed[num_parks:]]
    halves = [lot._replace(rows=LOT_ROWS, left=lot.left + 1, columns=lot.columns - 2) for lot in others]
    halves += [lot._replace(top=lot.top + other.rows - LOT_ROWS, north=False) for lot, other in zip(halves, others)]
    halves = [lot for _, lot in sorted((middle(lot), lot) for lot in halves)]
    public = [(kind, share) for kind in PUBLIC for share in shares(getattr(number, kind), MOST[kind])]
    shops = [(kind, share, lot) for (kind, share), lot in zip(draws.shuffled(public), halves)]
    plots = [lot._replace(columns=lot.columns // 2) for lot in halves[len(shops) :]]
    plots += [
        lot._replace(left=lot.left + lot.columns // 2, columns=lot.columns - lot.columns // 2)
        for lot in halves[len(shops) :]
    ]
    plots = [lot for _, lot in sorted((middle(lot), lot) for lot in plots)]
    return parks, shops, plots[: number.homes], plots[number.homes :]
