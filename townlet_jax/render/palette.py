"""Every colour of the pictures, and the order in which people get theirs."""

import colorsys

Colour = tuple[int, int, int]

INK, PAPER, FAINT, RULE = (38, 42, 54), (250, 249, 245), (128, 132, 142), (222, 220, 212)
GONE = (178, 180, 184)

PEOPLE: tuple[Colour, ...] = (
    (214, 58, 63),
    (38, 104, 200),
    (240, 150, 25),
    (124, 64, 180),
    (12, 142, 142),
    (222, 78, 160),
    (118, 78, 48),
    (84, 150, 32),
    (52, 56, 120),
    (164, 26, 96),
    (86, 170, 226),
    (186, 152, 20),
    (20, 100, 60),
    (240, 120, 98),
    (146, 134, 226),
    (92, 100, 112),
)

GROUND: dict[str, Colour] = {
    "wall": (84, 84, 96),
    "floor": (236, 226, 206),
    "door": (166, 112, 66),
    "road": (203, 200, 194),
    "grass": (163, 201, 118),
    "park": (190, 220, 136),
    "tree": (70, 130, 62),
    "water": (104, 176, 222),
    "shelf": (150, 108, 70),
    "table": (190, 142, 92),
}

HOME_FLOOR: Colour = (243, 228, 200)
FLOORS: tuple[Colour, ...] = (
    (205, 228, 208),
    (246, 212, 196),
    (208, 222, 240),
    (229, 214, 238),
    (246, 230, 166),
    (200, 232, 232),
    (240, 210, 222),
    (222, 222, 210),
)

ACTIVITY: dict[str, Colour] = {
    "sleep": (92, 96, 190),
    "wash": (36, 152, 214),
    "cook": (226, 92, 36),
    "eat": (58, 150, 70),
    "buy": (200, 140, 10),
    "work": (70, 76, 92),
    "wait": (150, 110, 60),
    "talk": (206, 78, 128),
    "quarrel": (204, 40, 36),
    "other": (166, 74, 160),
    "walk": (120, 124, 132),
    "idle": (160, 162, 168),
    "away": GONE,
}

MARKS: dict[str, Colour] = {
    "success": (38, 146, 84),
    "failure": (222, 120, 16),
    "avoided": FAINT,
    "quarrel": (204, 40, 36),
    "friend": (0, 150, 96),
    "rival": (214, 36, 64),
    "closed": (204, 40, 36),
}
SKY: dict[str, Colour] = {
    "sunny": (244, 178, 34),
    "clear": (92, 104, 160),
    "rainy": (58, 124, 204),
    "cold": (84, 164, 222),
}
OFF, CLOUD = (216, 44, 44), (142, 152, 168)

SHIFT: dict[str, Colour] = {
    "idle": FAINT,
    "await": (54, 110, 190),
    "on_time": (42, 140, 62),
    "late": (206, 122, 10),
    "absent": (204, 46, 46),
    "post": FAINT,
}


def person(index: int) -> Colour:
    """The colour of the agent in one slot; the first 16 are picked by hand, the others go around the circle of hues."""
    if index < len(PEOPLE):
        return PEOPLE[index]
    turn = index - len(PEOPLE)
    hue, light = (turn * 0.618034 + 0.05) % 1.0, (0.36, 0.56, 0.46)[turn % 3]
    red, green, blue = colorsys.hls_to_rgb(hue, light, 0.62)
    return round(red * 255), round(green * 255), round(blue * 255)


def need(share: float) -> Colour:
    """From red at 0 through amber to green at 1."""
    red, green, blue = colorsys.hls_to_rgb(0.36 * min(max(share, 0.0), 1.0), 0.42, 0.66)
    return round(red * 255), round(green * 255), round(blue * 255)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """`share` of the second colour in the first."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second))
    return red, green, blue
