"""The dashboard can be read by somebody who has never seen it, and asks for what there is."""

from typing import Any

import pytest
import yaml

from .shipped import GRAFANA, TARGET_LABELS, dashboard, exposed, groupings, panels, queries, selectors

PANELS = panels()


def title(panel: dict[str, Any]) -> str:
    return str(panel["title"])


@pytest.mark.parametrize("panel", PANELS, ids=title)
def test_every_panel_says_what_it_shows_and_in_which_unit(panel: dict[str, Any]) -> None:
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]


@pytest.mark.parametrize(("panel", "query"), list(queries()))
def test_every_query_keeps_to_the_chosen_job_and_routers(panel: str, query: str) -> None:
    asked = selectors(query)
    assert asked
    assert query.count('job="$job",instance=~"$instance"') == len(asked)


@pytest.mark.parametrize(("panel", "query"), list(queries()))
def test_every_query_asks_for_metrics_and_labels_that_exist(panel: str, query: str) -> None:
    known, there = exposed(), set()
    for selector in selectors(query):
        assert selector.labels <= known[selector.name] | TARGET_LABELS
        there |= known[selector.name]
    assert groupings(query) <= there | TARGET_LABELS


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    everything = dashboard()["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    cells = [
        (panel["gridPos"]["x"] + right, panel["gridPos"]["y"] + down)
        for panel in everything
        for right in range(panel["gridPos"]["w"])
        for down in range(panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_grafana_is_told_where_dashboard_and_prometheus_are() -> None:
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/memrouter.yml").read_text())["providers"]
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
    assert [variable["name"] for variable in dashboard()["templating"]["list"]] == ["datasource", "job", "instance"]
