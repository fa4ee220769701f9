"""A small drawing for each kind of facility and each activity; kinds are open-ended, others get their initial."""

from collections.abc import Callable

from .palette import INK
from .pen import Colour, Pen

WOOD, DARK_WOOD, WHITE = (186, 132, 80), (128, 84, 48), (252, 252, 250)
STEEL, DARK, SHADE = (176, 184, 194), (62, 66, 78), (104, 110, 122)
BLUE, PALE, GREEN, RED, AMBER = (64, 140, 212), (206, 230, 246), (96, 196, 110), (212, 70, 62), (238, 176, 60)


def bed(pen: Pen) -> None:
    """Frame, pillow, blanket."""
    pen.box(0.12, 0.02, 0.88, 0.98, DARK_WOOD, 0.10)
    pen.box(0.18, 0.08, 0.82, 0.92, WHITE, 0.06)
    pen.box(0.27, 0.13, 0.73, 0.33, PALE, 0.08)
    pen.box(0.18, 0.42, 0.82, 0.92, (88, 122, 196), 0.05)
    pen.box(0.18, 0.42, 0.82, 0.52, (130, 160, 222))


def fridge(pen: Pen) -> None:
    """Two doors with handles."""
    pen.box(0.15, 0.02, 0.85, 0.98, SHADE, 0.08)
    pen.box(0.20, 0.06, 0.80, 0.36, WHITE, 0.05)
    pen.box(0.20, 0.41, 0.80, 0.94, WHITE, 0.05)
    pen.box(0.27, 0.14, 0.36, 0.30, SHADE)
    pen.box(0.27, 0.48, 0.36, 0.72, SHADE)


def stove(pen: Pen) -> None:
    """Four rings, two of them hot."""
    pen.box(0.06, 0.06, 0.94, 0.94, DARK, 0.10)
    for x, y, colour in ((0.3, 0.3, RED), (0.7, 0.3, STEEL), (0.3, 0.7, STEEL), (0.7, 0.7, RED)):
        pen.disc(x, y, 0.16, colour)
        pen.disc(x, y, 0.07, DARK)


def shower(pen: Pen) -> None:
    """A tray with a head and drops."""
    pen.box(0.05, 0.05, 0.95, 0.95, BLUE, 0.12)
    pen.box(0.12, 0.12, 0.88, 0.88, PALE, 0.08)
    pen.poly((0.28, 0.42), (0.72, 0.42), (0.6, 0.22), (0.4, 0.22), fill=SHADE)
    for x, y in ((0.32, 0.54), (0.5, 0.54), (0.68, 0.54), (0.41, 0.72), (0.59, 0.72)):
        pen.disc(x, y, 0.06, BLUE, 0.09)


def till(pen: Pen) -> None:
    """A cash register on a desk."""
    pen.box(0.0, 0.45, 1.0, 0.98, WOOD, 0.06)
    pen.box(0.0, 0.84, 1.0, 0.98, DARK_WOOD, 0.06)
    pen.box(0.20, 0.30, 0.80, 0.76, DARK, 0.06)
    pen.box(0.28, 0.04, 0.72, 0.30, GREEN, 0.04)
    for x in (0.34, 0.5, 0.66):
        pen.disc(x, 0.52, 0.06, WHITE)


def counter(pen: Pen) -> None:
    """A bar with a steaming cup."""
    pen.box(0.0, 0.50, 1.0, 0.98, WOOD, 0.06)
    pen.box(0.0, 0.84, 1.0, 0.98, DARK_WOOD, 0.06)
    pen.disc(0.68, 0.54, 0.14, WHITE)
    pen.box(0.26, 0.36, 0.66, 0.74, WHITE, 0.10)
    pen.box(0.31, 0.38, 0.61, 0.48, (112, 70, 40), 0.04)
    for x in (0.36, 0.54):
        pen.line((x, 0.28), (x + 0.05, 0.19), (x - 0.03, 0.10), (x + 0.03, 0.02), fill=SHADE, width=0.06)


def bench(pen: Pen) -> None:
    """Three slats on two feet."""
    for x in (0.16, 0.74):
        pen.box(x, 0.16, x + 0.10, 0.92, DARK)
    for y in (0.22, 0.44, 0.66):
        pen.box(0.02, y, 0.98, y + 0.15, WOOD, 0.05)


def desk(pen: Pen) -> None:
    """A table with a screen."""
    pen.box(0.0, 0.46, 1.0, 0.94, WOOD, 0.06)
    pen.box(0.24, 0.08, 0.76, 0.50, DARK, 0.05)
    pen.box(0.30, 0.14, 0.70, 0.44, (128, 190, 232))
    pen.box(0.28, 0.64, 0.72, 0.80, WHITE, 0.04)


def sofa(pen: Pen) -> None:
    """Arms, back and two cushions."""
    pen.box(0.02, 0.12, 0.98, 0.92, (150, 72, 84), 0.14)
    pen.box(0.16, 0.42, 0.49, 0.84, (206, 118, 126), 0.08)
    pen.box(0.51, 0.42, 0.84, 0.84, (206, 118, 126), 0.08)


def basin(pen: Pen) -> None:
    """A bowl under a tap."""
    pen.box(0.06, 0.16, 0.94, 0.94, STEEL, 0.12)
    pen.disc(0.5, 0.58, 0.34, WHITE, 0.27)
    pen.disc(0.5, 0.60, 0.22, PALE, 0.16)
    pen.box(0.44, 0.08, 0.56, 0.44, SHADE, 0.04)


def books(pen: Pen) -> None:
    """A shelf of books."""
    pen.box(0.04, 0.04, 0.96, 0.96, DARK_WOOD, 0.06)
    for y, colours in ((0.12, (RED, AMBER, BLUE, GREEN)), (0.54, (GREEN, BLUE, RED, AMBER))):
        for place, colour in enumerate(colours):
            pen.box(0.12 + 0.19 * place, y, 0.28 + 0.19 * place, y + 0.34, colour)


def weights(pen: Pen) -> None:
    """A barbell."""
    pen.box(0.02, 0.45, 0.98, 0.55, SHADE)
    for x in (0.10, 0.74):
        pen.box(x, 0.18, x + 0.16, 0.82, DARK, 0.05)


FACILITIES: dict[Callable[[Pen], None], tuple[str, ...]] = {  # drawing -> words in the names of kinds
    bed: ("bed", "bunk", "hammock", "cot"),
    fridge: ("fridge", "freezer", "larder", "pantry"),
    stove: ("stove", "oven", "hob", "cooker", "grill", "kitchen"),
    shower: ("shower", "bath", "bathtub", "tub"),
    till: ("till", "checkout", "register", "shop", "stall"),
    counter: ("counter", "bar", "cafe", "buffet"),
    bench: ("bench", "seat", "chair", "stool"),
    desk: ("desk", "computer", "workbench", "terminal"),
    sofa: ("sofa", "couch", "armchair"),
    basin: ("sink", "basin", "toilet", "fountain", "well", "tap"),
    books: ("book", "books", "bookshelf", "library", "shelf"),
    weights: ("weights", "treadmill", "barbell", "machine"),
}


def facility(pen: Pen, kind: str) -> None:
    """Draw one kind of facility in the cell at the pen's origin."""
    words = kind.split("_")
    draw = next((draw for draw, known in FACILITIES.items() if any(word in known for word in words)), None)
    if draw is not None:
        draw(pen)
        return
    pen.box(0.04, 0.04, 0.96, 0.96, DARK, 0.16)
    pen.box(0.11, 0.11, 0.89, 0.89, (244, 236, 214), 0.12)
    pen.text(0.5, 0.52, kind[:1].upper(), INK, 0.80)


def sign(pen: Pen, activity: str, letter: str, colour: Colour) -> None:
    """A white sign for an activity on a disc of radius 0.5 at the pen's origin."""
    white = (255, 255, 255)
    if activity == "sleep":
        pen.poly((-0.24, -0.28), (0.24, -0.28), (0.24, -0.16), (-0.06, 0.15), (0.24, 0.15), (0.24, 0.28), (-0.24, 0.28),
                 (-0.24, 0.16), (0.06, -0.15), (-0.24, -0.15), fill=white)  # fmt: skip
    elif activity == "wash":
        pen.disc(0, 0.10, 0.22, white)
        pen.poly((-0.20, 0.02), (0, -0.36), (0.20, 0.02), fill=white)
    elif activity == "cook":
        pen.disc(0, 0.10, 0.24, white)
        pen.poly((-0.23, 0.06), (-0.18, -0.24), (-0.06, -0.08), (0.06, -0.38), (0.23, 0.06), fill=white)
        pen.disc(0, 0.19, 0.10, colour)
    elif activity == "eat":
        pen.box(-0.05, -0.10, 0.05, 0.36, white)
        for x in (-0.17, -0.04, 0.09):
            pen.box(x, -0.34, x + 0.08, -0.04, white)
        pen.box(-0.17, -0.12, 0.17, -0.02, white)
    elif activity == "buy":
        pen.box(-0.24, -0.10, 0.24, 0.30, white, 0.04)
        pen.line((-0.12, -0.08), (-0.12, -0.26), (0.12, -0.26), (0.12, -0.08), fill=white, width=0.08)
    elif activity == "work":
        pen.box(-0.14, -0.27, 0.14, -0.04, white, 0.05)
        pen.box(-0.06, -0.18, 0.06, -0.08, colour)
        pen.box(-0.29, -0.11, 0.29, 0.25, white, 0.05)
        pen.box(-0.07, 0.03, 0.07, 0.13, colour)
    elif activity == "wait":
        for x in (-0.24, 0, 0.24):
            pen.disc(x, 0, 0.09, white)
    elif activity == "talk":
        pen.box(-0.29, -0.24, 0.29, 0.12, white, 0.08)
        pen.poly((-0.18, 0.08), (0.06, 0.08), (-0.18, 0.32), fill=white)
    elif activity == "quarrel":
        pen.box(-0.07, -0.32, 0.07, 0.10, white)
        pen.disc(0, 0.25, 0.09, white)
    elif activity == "walk":
        pen.box(-0.30, -0.07, 0.10, 0.07, white)
        pen.poly((0.04, -0.26), (0.34, 0.0), (0.04, 0.26), fill=white)
    elif activity == "idle":
        pen.box(-0.22, -0.07, 0.22, 0.07, white)
    elif letter:
        pen.text(0, 0.02, letter, white, 0.72)
