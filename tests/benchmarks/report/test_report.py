"""The page: nothing from outside, numbers that are those of the results, verdicts that follow the differences."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import imageio.v3 as iio
import numpy as np
import pytest

from benchmarks.fidelity.pictures import write_index
from benchmarks.fidelity.results import rounded
from benchmarks.fidelity.summary import PERSISTENCE, TRUTH, better, relative_to, summarize
from benchmarks.fidelity.tables import every_model, lead_of, leads, models, pair, title_of
from benchmarks.properties.tables import properties
from benchmarks.report.__main__ import Args, main
from benchmarks.report.figures import curves, model_styles
from benchmarks.report.html import interval, number, table
from benchmarks.report.media import video
from benchmarks.report.properties import progression_tables
from benchmarks.report.targets import scores, verdict, wins
from rla_gym.utils.files import write_json

FACTORS = {TRUTH: 0.1, PERSISTENCE: 1.0, "rla-wm": 0.3, "rla-wm reconstruction": 0.2, "dino-wm": 0.5}


def results(factors: dict[str, float], seed: int = 0) -> dict[str, Any]:
    """What the benchmark of fidelity writes, of models whose errors are so many times those of persistence."""
    rng = np.random.default_rng(seed)
    level = rng.uniform(8, 12, (40, 2)).astype(np.float32)

    def run(factor: float) -> dict[str, np.ndarray]:
        error = factor * level + rng.normal(0, 0.01, level.shape).astype(np.float32)
        signed = {"goalward_mm": error, "goalward_bias_mm": error - level, "drift_mm": error}
        errors = dict.fromkeys(("moving_l1", "moving_energy", "moving_motion", "cube_moved_mm"), error)
        return {**errors, "ssim": 1 - 0.05 * error, **signed}

    raw = {kind: {model: run(factor) for model, factor in factors.items()} for kind in ("recorded", "random", "still")}
    runs = {model: [model] for model in factors}
    found = summarize(raw, runs, np.repeat(np.arange(20), 2), (1, 6), "rla-wm", {"draws": 100})
    measures = {name: {"better": better(name), "relative_to": relative_to(name)} for name in run(1.0)}
    made = {"model": "x", "parameters": 7, "seed": 0, "place": "runs/x <i>"}
    return rounded(
        {
            **found, "task": "push-cube", "commit": "abc", "versions": {"torch": "2"}, "seeds": {"handles": 0},
            "settings": {"strips": None, "images": 20, "sampled": 10},
            "minutes": 1.5, "horizons": [1, 6], "reference": "rla-wm", "thing": "cube",
            "handles": {"count": 40, "episodes": 20, "part": "test", "chunk": 4}, "models": runs, "measures": measures,
            "runs": {model: {"name": model, **made} for model in ("rla-wm", "dino-wm")},
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def strips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("strips")
    names = ["simulator", "rla-wm", "dino-wm"]
    for place, name in enumerate(names):
        iio.imwrite(folder / f"{name}.png", np.full((32, 4 * 48, 3), 60 * place, np.uint8))
    write_index(
        folder, [{"kind": "random", "handle": 5, "run": name, "file": f"{name}.png", "frames": 4} for name in names]
    )
    return folder


def test_the_page_needs_nothing_else(strips: Path, tmp_path: Path) -> None:
    write_json(tmp_path / "push-cube.json", results(FACTORS))
    main(Args(fidelity=(tmp_path / "push-cube.json",), properties=(), strips=strips, out=tmp_path / "page.html"))
    text = (tmp_path / "page.html").read_text()
    assert "src=" in text and all(
        found.startswith(("data:", "#")) for found in re.findall(r'(?:src|href)="([^"]+)"', text)
    )
    assert not re.search(r"<(?:script|link)[^>]+(?:http|//)|@import|url\(http", text)
    assert text.count("<img") == 3 and text.count("<video") == 1 and text.count("<svg") >= 2
    assert "runs/x &lt;i&gt;" in text and "runs/x <i>" not in text
    ids = re.findall(r'<(?:clipPath|g|path) id="([^"]*clip[^"]*|m[0-9a-f]{10})"', text)
    assert len(ids) == len(set(ids))  # of two figures in one page
    with pytest.raises(FileNotFoundError, match="benchmarks.fidelity"):
        main(Args(fidelity=(), properties=(), out=tmp_path / "none.html"))


def test_verdicts_follow_the_differences() -> None:
    found = results(FACTORS)
    assert verdict(found, "recorded", "moving_l1", "dino-wm", 1) == "ahead"
    assert verdict(found, "counterfactual", "ssim", "dino-wm", 1) == "ahead"
    assert set(scores(found).values()) == {"ahead"} and wins(found)
    assert {other for _, _, other in scores(found)} == {"dino-wm"}
    worse = results({**FACTORS, "rla-wm": 0.7})
    assert verdict(worse, "recorded", "ssim", "dino-wm", 1) == "behind" and not wins(worse)
    equal = [results({**FACTORS, "rla-wm": 0.5}, seed) for seed in range(10)]
    told = [verdict(each, "recorded", "cube_moved_mm", "dino-wm", 1) for each in equal]
    assert told.count("even") >= 8, told


def test_the_page_of_models_has_a_row_for_each() -> None:
    lines = every_model({"push-cube": results(FACTORS)}).splitlines()
    rows = [line for line in lines if line.startswith("| push-cube |")]
    assert [row.split(" | ")[1] for row in rows] == ["rla-wm", "dino-wm", "dino-wm"]
    assert rows[0] == "| push-cube | rla-wm | 0.30 / 0.30 | 0.30 / 0.30 | 0.850 / 0.850 | 0.30 / 0.30 |"
    columns = [line for line in lines if line.startswith("| task")]
    assert {line.count("|") for line in (*columns, *rows)} == {7}
    # .3 against .5 of the same errors: two fifths, of what SSIM lacks to 1 as well.
    assert all(cell.startswith("40 [3") for cell in rows[2].strip("| ").replace(" / ", " | ").split(" | ")[2:]), rows[2]


def test_readme_has_a_row_for_each_task_and_one_for_each_peer() -> None:
    close = results({**FACTORS, "dino-wm": 0.3, "fm-wm": 0.6})
    lines = models({"push-cube": results(FACTORS), "push-t": close}).splitlines()
    tasks = [line for line in lines if line.startswith("| push")]
    assert [row.split(" | ")[0] for row in tasks] == ["| push-cube", "| push-t"]
    assert tasks[0].split(" | ")[1].startswith("40 [3")
    rows = {row.split(" | ")[0]: row.split(" | ")[1:] for row in lines if row.startswith(("| dino-wm", "| fm-wm"))}
    assert rows["| fm-wm"][:2] == ["1", "1"] and rows["| fm-wm"][-1] == "6 / 0 / 0 |"
    assert rows["| fm-wm"][2:6] == ["50 / 50"] * 4
    tasks_of, _, *means, counts = rows["| dino-wm"]
    ahead, even, behind = map(int, counts.strip("| ").split(" / "))
    assert tasks_of == "2" and ahead >= 6 and ahead + even + behind == 12, rows
    assert all(15 < float(mean) < 25 for cell in means for mean in cell.split(" / ")), "the mean of 40 and about 0"
    assert "in all of these: 1 of 2 tasks" in lines[-1]
    alone = results({TRUTH: 0.1, PERSISTENCE: 1.0, "rla-wm": 0.3})
    assert "| push-cube" not in models({"push-cube": alone}), "nothing to compare with"


def test_who_is_worse_has_negative_leads_and_who_is_slow_its_starts() -> None:
    found = results({**FACTORS, "rla-wm": 0.7})
    tokens, _, frames, _ = leads(found, "dino-wm").split(" | ")
    assert tokens.startswith("-40 [-4") and frames.split(" / ")[1].startswith("-40 [-4")
    found["means"]["recorded"]["moving_l1"]["dino-wm"]["handles"] = [5, 5]
    found["models"]["dino-wm"] = ["dino-wm (0)", "dino-wm (1)"]
    assert (title_of(found, "dino-wm"), title_of(found, "rla-wm")) == ("dino-wm (2, 5 starts)", "rla-wm")
    found["differences"]["recorded"]["moving_l1"]["dino-wm"][1] |= {"low": None, "high": None}
    assert leads(found, "dino-wm").startswith("-40 / -40 [-4")  # too few episodes for an interval
    assert lead_of(found, 0, "fm-wm", "recorded") is None
    del found["means"]["counterfactual"]
    assert pair(found, "moving_l1", "rla-wm") == "0.70 / –" and pair(found, "lpips", "rla-wm") == "–"


def test_ways_through_time_by_kind_and_size() -> None:
    told = {name: [0.5, 0.4, 0.6] for name in ("correlation", "off", "between", "distance")}
    change = {name: {"difference": 0.1, "p": 0.01} for name in told}
    means, changes = dict.fromkeys(("noise", "mean", "tokens"), told), dict.fromkeys(("noise", "mean"), change)
    entry = {"means": means, "differences": changes}
    found = {"progression": {"rla": {"16": {"8": entry}}, "rla-linear": {"64": {"8": entry}}}}
    first, second, _ = progression_tables(found)
    assert "RLA, learned encoder: 16 numbers" in first and "RLA, linear encoder: 64 numbers" in second
    assert first.count("<tr>") == 4 and "0.5 [0.4, 0.6] (0.1, p 0.01)" in first


def test_readme_has_what_latents_hold() -> None:
    told = {"24": {"moving_l1": [0.5, 0.4, 0.7]}}
    split = {name: {"16": told} for name in ("nothing", "rla", "rla-linear", "linear", "entries")}
    measures = {name: [0.9, 0.8, 1.0] for name in ("correlation", "off", "between")}
    way = {"means": dict.fromkeys(("noise", "mean", "tokens"), measures)}
    result = {
        "reconstruction": {"held out": split},
        "progression": {"rla": {"16": {"8": {}, "24": way}}, "rla-linear": {"16": {"24": way}}},
        "settings": {"minutes": None, "samples": 400, "count": 5, "seeds": [0], "times": 11},
    }
    lines = properties({"push-cube": result}).splitlines()
    rows = [line for line in lines if line.startswith("| held out")]
    assert len(rows) == 4 and rows[1] == "| held out, RLA, linear encoder | 0.5 |"
    assert any("reach 0.2 to either side" in line and "400 samples" in line for line in lines)
    assert "| RLA, as published, 16 numbers | 0.9 [0.8, 1] | 0.9 [0.8, 1] | 0.9 [0.8, 1] |" in lines
    assert [line.split(" | ")[0] for line in lines[-5:-2]][-1] == "| tokens, interpolated"


def test_numbers_and_cells() -> None:
    assert number(0.00012) == "0.00012" and number(123456.0) == "123456" and number(None) == "–"
    assert interval([1.23456, 1.1, 1.4]) == "1.23 [1.1, 1.4]" and interval([2.0, None, None]) == "2"
    assert table(["a"], []) == "" and "<td>&lt;b&gt;</td>" in table(["a"], [["<b>"]])


def test_figures_are_whole_and_say_their_names() -> None:
    styles = model_styles(["truth", "a", "a reconstruction", "b"], ["truth"])
    assert styles["a"][0] == styles["a reconstruction"][0] != styles["b"][0]
    drawn = curves([("left", "error", {"a": ([1, 2], [3, 4], [2, 3], [4, 5])})], styles, "chunks")
    root = ElementTree.fromstring(drawn.removeprefix("<figure>").removesuffix("</figure>"))
    assert {"left", "error", "chunks", "a"} <= {element.text for element in root.iter() if element.text}


def test_a_video_has_all_runs(strips: Path, tmp_path: Path) -> None:
    found = video(strips, [{"run": name, "file": f"{name}.png", "frames": 4} for name in ("simulator", "rla-wm")])
    data = re.search(r"base64,([^\"]+)", found)
    assert data is not None
    (tmp_path / "video.webm").write_bytes(base64.b64decode(data[1]))
    frames = iio.imread(tmp_path / "video.webm", plugin="FFMPEG")
    assert frames.shape[1:] == (52, 4 * 48, 3) and len(frames) >= 7
    assert abs(int(frames[2, 40, 20, 0])) < 12 and abs(int(frames[2, 40, 70, 0]) - 60) < 12
