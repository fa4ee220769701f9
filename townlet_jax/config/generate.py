"""A town drawn from a seed: streets around blocks, houses, shops, offices, gyms and parks, as rows of marks.

The same settings and number of agents give maps of one size with the same number of everything, whatever the seed; the seed moves
the lots, the streets, the furniture and the trees. Streets run from edge to edge, every door opens onto one, and a tree is planted
only where all that could be walked to can be walked to afterwards.
"""

from typing import NamedTuple

from .buildings import MOST, PUBLIC, Rows, home
from .draws import Draws
from .schema import STANDARD, GenerateConfig, MapConfig

MARGIN = 3  # cells of wood and meadow around the town
STREET = 2  # cells
MOST_CELLS = 256  # each way
TREES, WOOD = 6, 12  # percent of the grass, and as many more on empty lots
BLOCK_ROWS, BLOCK_COLUMNS = 16, 20  # least of a block: two lots, one behind the other
LOT_ROWS = BLOCK_ROWS // 2
BLOCKING = frozenset(
    mark for mark, means in STANDARD.items() if means.ground in ("wall", "tree", "water", "shelf", "table")
)
SOLID = BLOCKING | {mark for mark, means in STANDARD.items() if means.facility}
NAMES = ("homes", "tills", "counters", "desks", "gym showers", "benches")  # of `Counts`
Canvas = list[list[str]]


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


def _up(number: int, share: int) -> int:
    """A quotient rounded up."""
    return -(-number // share)


def counts(config: GenerateConfig, num_agents: int) -> Counts:
    """What the settings say, or else what so many people need: two of each kind of shop at least, and a post for everybody."""
    tills = config.tills or max(2, _up(num_agents, 8))
    counters = config.counters or max(2, _up(num_agents, 8))
    return Counts(
        homes=config.homes or _up(num_agents, config.residents),
        till=tills,
        counter=counters,
        desk=config.desks or max(4, num_agents - tills - counters),
        gym_shower=config.gym_showers or max(3, _up(num_agents, 6)),
        bench=config.benches or max(4, _up(num_agents, 4)),
    )


def shares(number: int, most: int) -> list[int]:
    """A number in the fewest parts of at most `most`, as equal as can be."""
    parts = _up(number, most)
    return [number // parts + (part < number % parts) for part in range(parts)]


def blocks(number: Counts) -> int:
    """How many blocks hold all that: four homes, two public buildings or one park each."""
    lots = sum(len(shares(getattr(number, kind), MOST[kind])) for kind in PUBLIC) + _up(number.homes, 2)
    return _up(lots, 2) + len(shares(number.bench, MOST["bench"]))


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
    shapes = [(across, _up(need, across)) for across in range(2, need + 2)]
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


def fill(canvas: Canvas, rows: range, columns: range, mark: str) -> None:
    """One mark all over a rectangle."""
    for row in rows:
        for column in columns:
            canvas[row][column] = mark


def street_rows(plan: Plan) -> list[int]:
    """The first row of each street."""
    return [plan.tops[0] - STREET, *(top + height for top, height in zip(plan.tops, plan.heights))]


def streets(draws: Draws, canvas: Canvas, plan: Plan) -> None:
    """A street above each line of blocks and one below the last; avenues across, some of them with gaps.

    At least one avenue leads from each street to the next.
    """
    for top in street_rows(plan):
        fill(canvas, range(top, top + STREET), range(1, plan.width - 1), "=")
    avenues = [range(left - STREET, left) for left in plan.lefts[1:]]
    for top, height in zip(plan.tops, plan.heights):
        kept = draws.below(len(avenues))
        for number, avenue in enumerate(avenues):
            if number == kept or draws.chance(75):
                fill(canvas, range(top, top + height), avenue, "=")
    for edge in (range(1, MARGIN), range(plan.height - MARGIN, plan.height - 1)):
        fill(canvas, edge, avenues[draws.below(len(avenues))], "=")


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


def build(draws: Draws, canvas: Canvas, lot: Lot, building: Rows) -> None:
    """A building on its lot, with a path from each door to the street."""
    top = lot.top + 1 if lot.north else lot.top + lot.rows - 1 - len(building)
    left = lot.left + draws.between(0, lot.columns - len(building[0]))
    for row, marks in enumerate(building):
        canvas[top + row][left : left + len(marks)] = marks
    path = lot.top if lot.north else lot.top + lot.rows - 1
    for column, mark in enumerate(building[0 if lot.north else -1]):
        if mark == "+":
            canvas[path][left + column] = "="


def pond(draws: Draws, canvas: Canvas, lot: Lot) -> tuple[range, range]:
    """Water with round corners, two cells from the edge of the lot. Returns its rows and columns."""
    rows, columns = draws.between(2, min(4, lot.rows - 4)), draws.between(3, min(7, lot.columns - 4))
    top = lot.top + draws.between(2, lot.rows - 2 - rows)
    left = lot.left + draws.between(2, lot.columns - 2 - columns)
    ground, (down, right) = canvas[top][left], (range(top, top + rows), range(left, left + columns))
    fill(canvas, down, right, "w")
    for row, column in ((row, column) for row in (down[0], down[-1]) for column in (right[0], right[-1])):
        canvas[row][column] = ground if rows > 2 else "w"
    return down, right


def park(draws: Draws, canvas: Canvas, lot: Lot, benches: int) -> None:
    """A lawn with a pond, and benches that have room on all sides."""
    fill(canvas, range(lot.top, lot.top + lot.rows), range(lot.left, lot.left + lot.columns), ",")
    canvas[lot.top + 1][lot.left + 1] = "P"
    rows, columns = pond(draws, canvas, lot)
    near = lambda at, span: span[0] - 1 <= at <= span[-1] + 1
    spots = [
        (row, column)
        for row in range(lot.top + 2, lot.top + lot.rows - 2, 3)
        for column in range(lot.left + 2 + (row % 2), lot.left + lot.columns - 2, 4)
        if not (near(row, rows) and near(column, columns))
    ]
    for row, column in draws.shuffled(spots)[:benches]:
        canvas[row][column] = "n"


def plant(draws: Draws, canvas: Canvas, rows: range, columns: range, percent: int) -> None:
    """Trees on grass and lawn, only where nobody's way is cut off, and none beside a bench."""
    for row in rows:
        for column in columns:
            if canvas[row][column] in '",' and draws.chance(percent) and spares(canvas, row, column):
                canvas[row][column] = "T"


def spares(canvas: Canvas, row: int, column: int) -> bool:
    """Whether all that hangs together without a cell still does if the cell is blocked, as far as its neighbours can tell.

    The free ones of the eight cells around it form runs; if two runs hold a cell from which one steps onto it, it is a way.
    """
    ring = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
    around = [canvas[row + down][column + right] for down, right in ring]
    free = [mark not in SOLID for mark in around]
    if "n" in around or all(free):
        return "n" not in around
    start = free.index(False)
    runs, inside = 0, False
    for step in range(1, 9):
        at = (start + step) % 8
        if not free[at]:
            inside = False
        elif at % 2 == 0 and not inside:
            runs, inside = runs + 1, True
    return runs <= 1


def draw(config: GenerateConfig, num_agents: int) -> str:
    """The map of a seed.

    Args:
        config: the settings.
        num_agents: how many people the town is for.

    Returns:
        Rows of marks of `schema.STANDARD`.

    Raises:
        ValueError: the town does not fit onto the map.
    """
    number, draws = counts(config, num_agents), Draws(config.seed)
    plan = lay_out(draws, *size(config, number))
    canvas = [
        ["T" if column in (0, plan.width - 1) else '"' for column in range(plan.width)] for _ in range(plan.height)
    ]
    canvas[0], canvas[-1] = ["T"] * plan.width, ["T"] * plan.width
    streets(draws, canvas, plan)
    parks, shops, homes, empty = zone(draws, plan, number)
    for lot, benches in zip(parks, shares(number.bench, MOST["bench"])):
        park(draws, canvas, lot, benches)
    for kind, share, lot in shops:
        build(draws, canvas, lot, PUBLIC[kind](draws, lot.north, share))
    for lot in homes:
        build(draws, canvas, lot, home(draws, lot.north))
    for lot in empty:
        if draws.chance(30):
            pond(draws, canvas, lot)
        plant(draws, canvas, range(lot.top, lot.top + lot.rows), range(lot.left, lot.left + lot.columns), WOOD)
    plant(draws, canvas, range(1, plan.height - 1), range(1, plan.width - 1), TREES)
    ends = [(top, column) for top in street_rows(plan) for column in (1, plan.width - 2)]
    for top, column in draws.shuffled(ends)[: max(4, _up(num_agents, 8))]:
        fill(canvas, range(top, top + STREET), range(column, column + 1), "@")
    return "\n".join("".join(row) for row in canvas) + "\n"


def drawn(config: MapConfig, num_agents: int) -> MapConfig:
    """The same map with its rows drawn, if they are not yet; marks that its legend leaves out mean what they mean in the town.

    Raises:
        ValueError: the town does not fit onto the map.
    """
    if config.generate is None:
        return config
    return MapConfig(legend={**STANDARD, **config.legend}, rows=draw(config.generate, num_agents))
