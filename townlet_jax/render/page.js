"use strict";
(function () {
  const film = JSON.parse(document.getElementById("film").textContent);
  const part = (name) => document.getElementById(name);
  const canvas = part("picture"), pen = canvas.getContext("2d"), place = part("place"), play = part("play");
  const last = film.times.length - 1, side = film.tile;
  const across = Math.ceil(film.columns / side), down = Math.ceil(film.rows / side), count = across * down;
  canvas.width = film.columns;
  canvas.height = film.rows;
  place.max = last;
  let tiles = null, tables = null, shown = null, now = 0, timer = null;

  async function unpack(text) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(stream).arrayBuffer();
  }

  function tile(index) {
    const image = pen.createImageData(side, side), start = index * side * side;
    for (let i = 0; i < side * side; i++) {
      const colour = 3 * tiles[start + i];
      for (let c = 0; c < 3; c++) image.data[4 * i + c] = film.colours[colour + c];
      image.data[4 * i + 3] = 255;
    }
    return image;
  }

  function show(frame) {
    now = Math.min(Math.max(frame, 0), last);
    for (let i = 0; i < count; i++) {
      const index = tables[now * count + i];
      if (shown[i] !== index) {
        pen.putImageData(tile(index), (i % across) * side, Math.floor(i / across) * side);
        shown[i] = index;
      }
    }
    place.value = now;
    place.setAttribute("aria-valuetext", film.times[now]);
    part("time").textContent = film.times[now];
  }

  function pause() {
    clearTimeout(timer);
    timer = null;
    play.textContent = "Play";
  }

  function next() {
    if (now === last) return pause();
    show(now + 1);
    timer = setTimeout(next, (1000 * film.holds[now]) / film.fps / Number(part("speed").value));
  }

  function toggle() {
    if (timer !== null) return pause();
    if (now === last) show(0);
    play.textContent = "Pause";
    timer = setTimeout(next, 0);
  }

  function step(frames) {
    pause();
    show(now + frames);
  }

  function key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.tagName === "SELECT") return;
    if (event.key === " " && event.target.tagName === "BUTTON") return; // which it presses
    const far = event.shiftKey ? 10 : 1;
    const keys = {
      " ": toggle,
      ArrowLeft: () => step(-far),
      ArrowRight: () => step(far),
      Home: () => step(-now),
      End: () => step(last - now),
    };
    if (!(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  }

  async function begin() {
    if (typeof DecompressionStream === "undefined") {
      part("told").textContent = "This browser is too old for this page: it cannot unpack the film.";
      return;
    }
    tiles = new Uint8Array(await unpack(film.tiles));
    tables = new Uint32Array(await unpack(film.tables));
    for (let i = count; i < tables.length; i++) tables[i] += tables[i - count];
    shown = new Array(count).fill(-1);
    play.addEventListener("click", toggle);
    part("back").addEventListener("click", () => step(-1));
    part("forth").addEventListener("click", () => step(1));
    place.addEventListener("input", () => step(Number(place.value) - now));
    document.addEventListener("keydown", key);
    part("controls").addEventListener("submit", (event) => event.preventDefault());
    show(0);
  }

  begin();
})();
