"""Drawing in units of one cell, on a raster that is finer than the picture, so that edges come out smooth."""

from typing import Any

MOST_PIXELS = 24_000_000  # of a fine raster
EXTRA = "pip install 'townlet-jax[viz]'"
Colour = tuple[int, ...]  # red, green, blue and perhaps alpha, 0 to 255
Point = tuple[float, float]  # right and down, in cells


def pillow() -> Any:
    """The package `PIL` with the modules that are used here.

    Raises:
        RuntimeError: Pillow is not installed.
    """
    try:
        import PIL.Image
        import PIL.ImageDraw
        import PIL.ImageFont
    except ImportError as error:
        raise RuntimeError(f"pictures need Pillow, which is not installed: {EXTRA}") from error
    return PIL


class Pen:
    """Shapes on an image, measured in cells from the pen's origin."""

    def __init__(self, draw: Any, unit: float, origin: Point = (0.0, 0.0)):
        """A pen.

        Args:
            draw: a `PIL.ImageDraw`.
            unit: pixels a cell.
            origin: where (0, 0) lies, in cells.
        """
        self.draw, self.unit, self.origin = draw, unit, origin

    def at(self, x: float, y: float) -> "Pen":
        """The same pen with its origin moved."""
        return Pen(self.draw, self.unit, (self.origin[0] + x, self.origin[1] + y))

    def _pixels(self, points: tuple[Point, ...]) -> list[Point]:
        ox, oy = self.origin
        return [((ox + x) * self.unit, (oy + y) * self.unit) for x, y in points]

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: Colour, radius: float = 0.0) -> None:
        """A filled rectangle, with round corners of that radius."""
        (left, top), (right, bottom) = self._pixels(((x0, y0), (x1, y1)))
        corners = (round(left), round(top), max(round(right) - 1, round(left)), max(round(bottom) - 1, round(top)))
        if radius > 0:
            self.draw.rounded_rectangle(corners, radius * self.unit, fill=fill)
        else:
            self.draw.rectangle(corners, fill=fill)

    def disc(self, x: float, y: float, radius: float, fill: Colour, across: float | None = None) -> None:
        """A filled circle, or an ellipse that is `across` high to each side."""
        high = radius if across is None else across
        (left, top), (right, bottom) = self._pixels(((x - radius, y - high), (x + radius, y + high)))
        self.draw.ellipse((left, top, right - 1, bottom - 1), fill=fill)

    def poly(self, *points: Point, fill: Colour) -> None:
        """A filled polygon."""
        self.draw.polygon(self._pixels(points), fill=fill)

    def line(self, *points: Point, fill: Colour, width: float = 0.1) -> None:
        """A line through points, that many cells wide."""
        self.draw.line(self._pixels(points), fill=fill, width=max(round(width * self.unit), 1), joint="curve")

    def text(self, x: float, y: float, words: str, fill: Colour, height: float, weight: float = 0.02) -> None:
        """Words in ASCII with their middle at a point, in letters of that height, thicker by a share `weight` of it."""
        ((px, py),) = self._pixels(((x, y),))
        size = max(round(height * self.unit), 6)
        font = pillow().ImageFont.load_default(size)
        stroke = round(size * weight)
        self.draw.text((px, py), words, fill=fill, font=font, anchor="mm", stroke_width=stroke, stroke_fill=fill)


def fineness(pixels: int, most: int) -> int:
    """How many times finer than a picture of so many pixels its raster may be, at most `most` and MOST_PIXELS in all."""
    return next((fine for fine in range(most, 1, -1) if pixels * fine * fine <= MOST_PIXELS), 1)


def sheet(columns: float, rows: float, unit: int, fine: int, fill: Colour) -> tuple[Any, Pen]:
    """An empty image of that many cells on a raster `fine` times finer, and a pen for it; see `reduce`."""
    mode = "RGBA" if len(fill) == 4 else "RGB"
    size = (round(columns * unit) * fine, round(rows * unit) * fine)
    picture = pillow().Image.new(mode, size, fill)
    return picture, Pen(pillow().ImageDraw.Draw(picture), unit * fine)


def reduce(picture: Any, fine: int) -> Any:
    """The picture at its own size, each pixel the mean of fine x fine."""
    return picture.reduce(fine) if fine > 1 else picture
