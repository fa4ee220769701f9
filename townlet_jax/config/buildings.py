"""Houses, shops and offices as rows of marks (see `schema.STANDARD`), each a little different.

Every building is a box of walls with a door in the wall that faces the street. What blocks inside stands at least one cell from
all else that blocks, or in a row along a wall, so that every free cell of a room can be walked to.
"""

from .draws import Draws

Rows = list[str]
MOST = {"till": 4, "counter": 4, "desk": 10, "gym_shower": 6, "bench": 9}  # of each in one building or park
SHOP_ROWS = 7  # of every public building, walls included
HOME_COLUMNS, HOME_ROWS = (8, 9), (6, 7)  # least and most, walls included


def walled(room: list[list[str]], north: bool, doors: list[int]) -> Rows:
    """A room with walls around it, and doors in the wall to the street, `doors` in columns of the room."""
    wall = "#" * (len(room[0]) + 2)
    front = "".join("+" if column - 1 in doors else "#" for column in range(len(wall)))
    inside = [f"#{''.join(row)}#" for row in room]
    return [front, *inside, wall] if north else [wall, *inside, front]


def home(draws: Draws, north: bool) -> Rows:
    """A house: bed, fridge and stove along the far wall, a shower and perhaps a table in the corners beside the door."""
    columns, rows = (draws.between(*span) - 2 for span in (HOME_COLUMNS, HOME_ROWS))
    room = [["."] * columns for _ in range(rows)]
    first = draws.below(columns - 4)
    for place, mark in enumerate(draws.shuffled("BFS")):
        room[0][first + 2 * place] = mark
    left = draws.chance(50)
    room[-1][0 if left else -1] = "W"
    if draws.chance(50):
        room[-1][-1 if left else 0] = "o"
    room[2][columns // 2] = "h"
    door = draws.between(2, columns - 3)
    return walled(room[::-1] if north else room, north, [door])


def _room(draws: Draws) -> tuple[list[list[str]], list[int]]:
    """An empty room of a public building and the two columns of its door."""
    columns = draws.between(13, 16)
    door = draws.between(columns // 2 - 3, columns // 2 + 2)
    return [["."] * columns for _ in range(SHOP_ROWS - 2)], [door, door + 1]


def _line(room: list[list[str]], row: int, mark: str, columns: range, keep: list[int]) -> None:
    """Marks on every second free column of a row, none in front of the door."""
    for column in columns[::2]:
        if column not in keep and room[row][column] == ".":
            room[row][column] = mark


def _served(draws: Draws, north: bool, pair: str, number: int, decor: str, place: str) -> Rows:
    """A shop or café: pairs of a post and its till or counter in the middle, customers to the south of them."""
    room, doors = _room(draws)
    columns = len(room[0])
    first = 0 if draws.chance(50) else columns - 3 * number  # against a wall, so that the rest is one space
    for turn in range(number):
        at = first + 3 * turn
        room[2][at : at + 2] = list(pair)
    rest = range(0, first - 1) if first else range(3 * number + 1, columns)
    _line(room, 0, decor, range(0, columns), doors if north else [])
    _line(room, 2, decor, rest, [])
    room[1][columns // 2] = place
    return walled(room, north, doors)


def grocer(draws: Draws, north: bool, tills: int) -> Rows:
    """Shelves, and tills with a grocer at each."""
    return _served(draws, north, "gt", tills, "k", "G")


def cafe(draws: Draws, north: bool, counters: int) -> Rows:
    """Tables, and counters with a barista at each."""
    return _served(draws, north, "vc", counters, "o", "C")


def office(draws: Draws, north: bool, desks: int) -> Rows:
    """Desks in two rows, shelves along the wall away from the door."""
    room, doors = _room(draws)
    pairs = (desks + 1) // 2
    step = draws.between(2, min(4, (len(room[0]) - 2) // pairs))
    spots = [(row, 1 + step * pair) for pair in range(pairs) for row in (1, 3)][:desks]
    mirror = draws.chance(50)
    for row, column in spots:
        room[row][-1 - column if mirror else column] = "d"
    for column in range(len(room[0])):
        if draws.chance(25) and column % 2 == 0:
            room[-1 if north else 0][column] = "k"
    room[2][len(room[0]) // 2] = "O"
    return walled(room, north, doors)


def gym(draws: Draws, north: bool, showers: int) -> Rows:
    """Showers in a row, their users to the south of them, and equipment on the other side."""
    room, doors = _room(draws)
    columns = len(room[0])
    first = draws.between(0, columns - 2 * showers)
    for shower in range(showers):
        room[2 if north else 0][first + 2 * shower] = "s"
    _line(room, 0 if north else 3, "m", range(1, columns, 2), [*doors, doors[0] - 1, doors[1] + 1])
    room[1 if north else 2][columns // 2] = "Y"
    return walled(room, north, doors)


PUBLIC = {"till": grocer, "counter": cafe, "desk": office, "gym_shower": gym}
