"""A film as one HTML file: it opens from the disk, asks the network for nothing, and every frame can be reached at once.

A frame is a table of tiles; tiles that look alike are stored once. Both are deflated and written as base64, and the script of the
page, which `page.js` holds, unpacks and draws them. A policy in the page allows this script and this style by their hashes and
nothing else, and all words from outside are escaped.
"""

import base64
import hashlib
import html
import json
import zlib
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np

TILE = 16  # pixels, side of a tile
STYLE = """
body { margin: 0; background: #262a36; color: #faf9f5; font: 15px/1.4 system-ui, sans-serif; }
main { max-width: 1280px; margin: 0 auto; padding: 12px; }
h1 { font-size: 18px; margin: 0 0 8px; }
canvas { width: 100%; height: auto; background: #faf9f5; display: block; }
form { display: flex; gap: 8px; align-items: center; margin: 8px 0; flex-wrap: wrap; }
button, select { font: inherit; padding: 4px 12px; }
input { flex: 1; min-width: 200px; }
output { min-width: 9em; font-variant-numeric: tabular-nums; }
p { margin: 4px 0; color: #b2b4b8; }
"""


class Telling(NamedTuple):
    """What a page says in words."""

    title: str
    times: list[str]  # of each frame, as the clock says
    holds: list[int]  # how many times as long as a usual one each frame lasts
    fps: int


def tiles(frames: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Frames u8[rows, columns] cut into tiles.

    Returns:
        The tiles that there are, u8[N, TILE, TILE]; which of them stands where, u32[frames, down, across]; rows and columns in
        pixels. Tiles at the right and lower edge are filled up with 0.
    """
    known: dict[bytes, int] = {}
    tables, size = [], (0, 0)
    for pixels in frames:
        size = pixels.shape
        padded = np.pad(pixels, [(0, -side % TILE) for side in size])
        down, across = (side // TILE for side in padded.shape)
        cut = np.ascontiguousarray(padded.reshape(down, TILE, across, TILE).swapaxes(1, 2), np.uint8)
        names = [known.setdefault(tile.tobytes(), len(known)) for row in cut for tile in row]
        tables.append(np.array(names, np.uint32).reshape(down, across))
    found = np.frombuffer(b"".join(known), np.uint8).reshape(-1, TILE, TILE)
    return found, np.stack(tables), (size[0], size[1])


def packed(numbers: np.ndarray) -> str:
    """Numbers deflated, in base64."""
    return base64.b64encode(zlib.compress(numbers.tobytes(), 9)).decode()


def differences(tables: np.ndarray) -> np.ndarray:
    """What is added to each table to get the next one, modulo 2**32; the first is whole. Most of it is 0, which packs well."""
    return np.diff(tables.astype("<u4"), axis=0, prepend=np.zeros((1, *tables.shape[1:]), "<u4"))


def write(path: Path, frames: Iterable[np.ndarray], colours: np.ndarray, told: Telling) -> None:
    """Write the page.

    Args:
        path: of the file.
        frames: u8[rows, columns] indices of colours.
        colours: u8[n, 3].
        told: its words.
    """
    found, tables, (rows, columns) = tiles(frames)
    facts = {
        "rows": rows,
        "columns": columns,
        "tile": TILE,
        "colours": colours.ravel().tolist(),
        "times": told.times,
        "holds": told.holds,
        "fps": told.fps,
        "tiles": packed(found),
        "tables": packed(differences(tables)),
    }
    script = resources.files(__package__).joinpath("page.js").read_text(encoding="utf-8")
    path.write_text(document(told.title, facts, script), encoding="utf-8")


def document(title: str, facts: dict, script: str) -> str:
    """The page as text."""
    allowed = lambda text: "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"
    policy = f"default-src 'none'; script-src {allowed(script)}; style-src {allowed(STYLE)}; base-uri 'none'; form-action 'none'"
    data = json.dumps(facts, allow_nan=False, separators=(",", ":"))
    data = data.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    title = html.escape(title)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>{title}</h1>
<canvas id="picture" role="img" aria-label="{title}"></canvas>
<form id="controls">
<button type="button" id="back" title="one frame back (left arrow)">&#8249;</button>
<button type="button" id="play" title="play or pause (space)">Play</button>
<button type="button" id="forth" title="one frame on (right arrow)">&#8250;</button>
<input type="range" id="place" min="0" value="0" step="1" aria-label="frame">
<output id="time"></output>
<select id="speed" aria-label="speed"><option value="0.5">half speed</option><option value="1" selected>speed 1</option>
<option value="2">speed 2</option><option value="4">speed 4</option></select>
</form>
<p id="told">Space plays and pauses, the arrows step (with Shift by ten), Home and End jump.</p>
<noscript><p>This page draws its film by a script, which this browser does not run.</p></noscript>
</main>
<script type="application/json" id="film">{data}</script>
<script>{script}</script>
</body>
</html>
"""
