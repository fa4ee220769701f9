"""Progress: plain lines by a hand-set clock, and the live picture on a stream that claims to be a terminal."""

import io
import sys

import pytest

from train.progress import Progress, _duration

ROW = {
    "steps_per_second": 1_234_567.0,
    "needs/energy": 0.4,
    "needs/fun": 0.8,
    "attendance": 0.75,
    "wallet": 31.26,
    "collapses_per_day": 0.0125,
    "return_per_day": 4.5,
}
MEASURES = "needs 0.60  attendance 0.75  wallet 31.3  collapses/day 0.013  return/day 4.50"


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def plain():
    stream, clock = io.StringIO(), Clock()
    return Progress(stream, clock), stream, clock


def test_a_plain_line_tells_all(plain):
    progress, stream, _ = plain
    with progress:
        progress.update(3, 12, ROW)
    assert stream.getvalue() == f"update 3/12 (25%)  1.23M agent-steps/s  ETA --:--  {MEASURES}\n"


def test_plain_lines_are_the_first_the_last_and_one_every_ten_seconds(plain):
    progress, stream, clock = plain
    with progress:
        progress.phase("compiling")
        clock.now += 4
        for done in range(1, 31):
            progress.update(done, 30, {})
            clock.now += 1
    counts = [line.split()[1] for line in stream.getvalue().splitlines()]
    assert counts == ["...", "1/30", "11/30", "21/30", "30/30"]


def test_frequent_phases_do_not_flood_a_log(plain):
    progress, stream, clock = plain
    with progress:
        for done in range(1, 21):
            progress.update(done, 20, {})
            progress.phase("checkpointing")
            clock.now += 0.1
    assert len(stream.getvalue().splitlines()) == 2


def test_time_left_follows_the_pace_after_the_compile_and_a_resume(plain):
    progress, stream, clock = plain
    with progress:
        progress.phase("compiling")
        clock.now += 60
        progress.update(100, 200, {})
        clock.now += 20
        progress.update(110, 200, {})  # two seconds an update, 90 to go
    assert "update 110/200 (55%)  ETA 3:00" in stream.getvalue()


def test_an_interrupt_passes_and_leaves_the_last_line(plain):
    progress, stream, _ = plain
    with pytest.raises(KeyboardInterrupt):
        with progress:
            progress.update(1, 9, {})
            progress.update(2, 9, {})
            raise KeyboardInterrupt
    assert stream.getvalue().splitlines()[-1].startswith("update 2/9")


def test_a_closed_pipe_does_not_end_the_run():
    tries = []

    class Broken(io.StringIO):
        def write(self, text):
            tries.append(text)
            raise BrokenPipeError

    with Progress(Broken()) as progress:
        progress.update(1, 1, ROW)
    assert tries  # it was written to, and the run goes on


def test_an_empty_run_divides_by_nothing(plain):
    progress, stream, _ = plain
    with progress:
        progress.update(0, 0, {})
    assert stream.getvalue() == "update 0/0 (0%)  ETA 0:00\n"


def test_stdout_stays_free(capsys):
    with Progress() as progress:
        progress.update(1, 2, ROW)
        print("summary")
    captured = capsys.readouterr()
    assert captured.out == "summary\n"
    assert captured.err.startswith("update 1/2")


def test_a_terminal_shows_spinner_bar_and_measures(monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    stream, clock = Terminal(), Clock()
    stdout = sys.stdout
    with pytest.raises(KeyboardInterrupt):
        with Progress(stream, clock) as progress:
            progress.phase("compiling")
            clock.now += 7
            progress._live.refresh()
            progress.update(3, 12, ROW)
            progress._live.refresh()
            print("summary")
            assert sys.stdout is stdout
            raise KeyboardInterrupt
    picture = stream.getvalue()
    for words in ("compiling 7 s", "update 3/12", "1.23M agent-steps/s", "ETA --:--", MEASURES):
        assert words in picture
    assert picture.rindex("\x1b[?25h") > picture.rindex("\x1b[?25l")  # the cursor is back
    assert capsys.readouterr().out == "summary\n"


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3725, "1:02:05")])
def test_durations(seconds, text):
    assert _duration(seconds) == text
