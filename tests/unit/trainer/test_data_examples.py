"""Every example is a valid job, and the quickstart's data is what its comments say."""

from pathlib import Path

import pytest
import yaml
from prorl_api.base import API_VERSION, KIND
from prorl_api.job import ProRLJob, parse_job
from prorl_api.spec_model import Domain
from prorl_api.validate import validate_manifest
from prorl_trainer.data.cache import DataCache
from prorl_trainer.data.source import Prompts
from prorl_trainer.model.tiny import build_tokenizer

EXAMPLES = Path(__file__).parents[3] / "examples"


def load(name: str) -> ProRLJob:
    return parse_job(yaml.safe_load((EXAMPLES / name).read_text()))


@pytest.mark.parametrize("name", sorted(p.name for p in EXAMPLES.glob("*.yaml")))
def test_an_example_is_a_valid_job(name: str) -> None:
    assert load(name).spec.algorithm.steps > 0


def test_the_quickstart_has_enough_held_out_prompts_and_two_resets(tmp_path: Path) -> None:
    spec = load("quickstart.yaml").spec
    cache = DataCache(tmp_path, lambda _: None)
    assert len(Prompts(spec, build_tokenizer(), cache).validation()) >= 100
    assert spec.algorithm.steps > 2 * spec.reference_reset.every_steps > 0


def test_the_example_of_the_data_page_is_valid_and_mixes_all_five_domains() -> None:
    page = (EXAMPLES.parent / "docs" / "data.md").read_text()
    block = yaml.safe_load(page.partition("```yaml\n")[2].partition("```")[0])
    spec = {"model": {"uri": "tiny://llama"}} | block
    manifest = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "x"}, "spec": spec}
    assert validate_manifest(manifest) == []
    assert {one["domain"] for one in block["data"]["train"]} == set(Domain)
