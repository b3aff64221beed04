"""README's tables are what benchmarks/results says, and every result file says how it was made."""

from benchmarks.readme import RESULTS, ROOT, TABLES, pages
from rla_gym.utils.files import read_json


def test_readme_matches_the_results() -> None:
    made = pages()
    assert set(made) == {"README.md", "docs/models.md"}
    for name, text in made.items():
        assert (ROOT / name).read_text() == text, f"{name}: run `make results`"


def test_every_result_names_its_commit_and_versions() -> None:
    for file, _ in TABLES.values():
        path = RESULTS / file
        for each in [path] if path.suffix else path.glob("*.json"):
            found = read_json(each)
            assert found["commit"] and found["versions"]["torch"], each
