"""A town drawn from a seed: streets around blocks, houses, shops, offices, gyms and parks, as rows of marks.

The same settings and number of agents give maps of one size with the same number of everything, whatever the seed; the seed moves
the lots, the streets, the furniture and the trees. Streets run from edge to edge, every door opens onto one, and a tree is planted
only where all that could be walked to can be walked to afterwards.
"""

from .buildings import MOST, PUBLIC, Rows, home
from .draws import Draws
from .lots import MARGIN, STREET, Lot, Plan, counts, lay_out, shares, size, up, zone
from .schema import STANDARD, GenerateConfig, MapConfig

TREES, WOOD = 6, 12  # percent of the grass, and as many more on empty lots
BLOCKING = frozenset(
    mark for mark, means in STANDARD.items() if means.ground in ("wall", "tree", "water", "shelf", "table")
)
SOLID = BLOCKING | {mark for mark, means in STANDARD.items() if means.facility}
Canvas = list[list[str]]


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
    for top, column in draws.shuffled(ends)[: max(4, up(num_agents, 8))]:
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
