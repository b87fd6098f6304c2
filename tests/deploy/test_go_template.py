"""The renderer of the chart answers as Go's text/template: the texts were printed by Go 1.19 with sprig 3.2.3."""

import pytest

from .charts import FUNCTIONS
from .go_template import Renderer, TemplateError, parse

DATA = {"Values": {"name": "a", "none": "", "on": True, "off": False, "list": ["x", "w"], "map": {"k": 1, "a": 2}}}


def render(source: str) -> str:
    return Renderer(FUNCTIONS, {}).render(parse(source), DATA)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("x {{ .Values.name }} y", "x a y"),
        ("x\n  {{- .Values.name -}}\n y", "xay"),
        ("x\n{{- /* said */ -}}\ny", "xy"),
        ("{{ .Values.absent }}", ""),
        ("{{ .Values.on }}{{ 3 }}", "true3"),
        ("{{ if .Values.none }}1{{ else if .Values.on }}2{{ else }}3{{ end }}", "2"),
        ("{{ with .Values.name }}{{ . }}{{ $.Values.on }}{{ else }}no{{ end }}", "atrue"),
        ("{{ with .Values.none }}{{ . }}{{ else }}no{{ end }}", "no"),
        ("{{ range .Values.list }}{{ . }}{{ end }}", "xw"),
        ("{{ range $i, $v := .Values.list }}{{ $i }}{{ $v }}{{ end }}", "0x1w"),
        ("{{ range $k, $v := .Values.map }}{{ $k }}{{ $v }}{{ end }}", "a2k1"),
        ("{{ range $v := .Values.absent }}{{ $v }}{{ else }}none{{ end }}", "none"),
        ("{{ $x := .Values.name | quote }}{{ $x }}", '"a"'),
        ("{{ printf \"%s-%s\" .Values.name `b` | trunc 2 | trimSuffix \"-\" }}", "a"),
        ("{{ default \"d\" .Values.none }}{{ .Values.name | default \"d\" }}", "da"),
        ("{{ and .Values.on .Values.name }}{{ or .Values.none \"b\" }}{{ not .Values.on }}", "abfalse"),
        ("{{ eq .Values.name \"a\" \"b\" }}{{ ne .Values.name \"a\" }}{{ gt 2 1 }}", "truefalsetrue"),
        ("{{ (dict \"a\" (list 1 2)).a | last }}", "2"),
        ("{{ .Values.list | toYaml | nindent 2 }}", "\n  - x\n  - w"),
        ("{{ define \"t\" }}<{{ .x }}>{{ end }}{{ include \"t\" (dict \"x\" \"y\") }}", "<y>"),
        ("{{ \"{b: 1}\" | fromYaml | toYaml }}", "b: 1"),
        ("{ {{ .Values.name }}: {{ \"}}\" }} }", "{ a: }} }"),
    ],
)  # fmt: skip
def test_an_action_prints_what_go_prints(source: str, text: str) -> None:
    assert render(source) == text


@pytest.mark.parametrize(
    "source",
    [
        "{{ .Values.name", "{{ end }}", "{{ if true }}", "{{ unknown }}", "{{ $x }}", "{{ .Values.absent.deeper }}",
        "{{ include \"absent\" . }}", "{{ (dict }}", "{{ fail \"no\" }}",
        "{{ \"a\" \"b\" }}", "{{ required \"needed\" .Values.none }}", "{{ ! }}",
    ],
)  # fmt: skip
def test_what_go_refuses_is_refused(source: str) -> None:
    with pytest.raises(TemplateError):
        render(source)


@pytest.mark.parametrize("source", ["{{ .Values.map }}", "{{ 1000000 }}"])
def test_what_go_would_print_as_no_yaml_is_refused(source: str) -> None:
    with pytest.raises(TemplateError):
        render(source)
