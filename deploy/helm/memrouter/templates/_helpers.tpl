{{/* The name of everything; the release's name alone where it holds the chart's. */}}
{{- define "memrouter.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "memrouter.valkeyName" -}}
{{- printf "%s-valkey" (include "memrouter.fullname" .) -}}
{{- end -}}

{{/* What selects pods; called with a dict of `root` and `component`. */}}
{{- define "memrouter.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "memrouter.labels" -}}
{{ include "memrouter.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 }}
{{- end -}}

{{/* An image; called with a dict of `image` and `tag`, the tag where the image names none. */}}
{{- define "memrouter.image" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (default .tag .image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "memrouter.ownValkey" -}}
{{- if and (eq .Values.store.backend "valkey") .Values.valkey.enabled -}}yes{{- end -}}
{{- end -}}

{{- define "memrouter.scales" -}}
{{- if and .Values.autoscaling.enabled (ne .Values.store.backend "sqlite") -}}yes{{- end -}}
{{- end -}}

{{- define "memrouter.secretName" -}}
{{- default (printf "%s-secrets" (include "memrouter.fullname" .)) .Values.secrets.existingSecret -}}
{{- end -}}

{{- define "memrouter.valkeySecretName" -}}
{{- default (printf "%s-auth" (include "memrouter.valkeyName" .)) .Values.valkey.existingSecret -}}
{{- end -}}

{{/* Whether the router logs in to its Valkey, with a password from the secret of its own Valkey or from its own. */}}
{{- define "memrouter.valkeyPassword" -}}
{{- if include "memrouter.ownValkey" . -}}
{{- include "memrouter.valkeySecretName" . -}}
{{- else if and (eq .Values.store.backend "valkey") .Values.secrets.valkeyPassword -}}
{{- include "memrouter.secretName" . -}}
{{- else if and (eq .Values.store.backend "valkey") .Values.secrets.existingSecret -}}
{{- include "memrouter.secretName" . -}}
{{- end -}}
{{- end -}}

{{/* The `valkey` section of the configuration, as YAML. */}}
{{- define "memrouter.valkeySection" -}}
{{- if include "memrouter.ownValkey" . -}}
host: {{ include "memrouter.valkeyName" . }}
username: memrouter
{{- else -}}
host: {{ required "valkey.external.host is needed: the Valkey that is not the chart's own (or set valkey.enabled: true)" .Values.valkey.external.host }}
port: {{ .Values.valkey.external.port }}
{{- if .Values.valkey.external.username }}
username: {{ .Values.valkey.external.username | quote }}
{{- end }}
{{- if .Values.valkey.external.cluster }}
cluster: true
{{- end }}
{{- if .Values.valkey.external.tls }}
tls_enabled: true
{{- end }}
{{- end }}
{{- if include "memrouter.valkeyPassword" . }}
password_file: /run/secrets/valkey_password
{{- end }}
timeout: 2
{{- end -}}

{{/* The store's part of the configuration, as YAML. */}}
{{- define "memrouter.storeSection" -}}
backend: {{ .Values.store.backend }}
{{- if eq .Values.store.backend "valkey" }}
valkey:
{{- include "memrouter.valkeySection" . | nindent 2 }}
{{- else if eq .Values.store.backend "milvus" }}
milvus:
  address: {{ required "store.milvus.address is needed, such as milvus:19530" .Values.store.milvus.address | quote }}
{{- else }}
sqlite:
  path: /data/memrouter.db
{{- end }}
{{- end -}}

{{/* The whole configuration: what the chart knows, under what `config` says. */}}
{{- define "memrouter.config" -}}
{{- $memory := include "memrouter.storeSection" . | fromYaml -}}
{{- $listener := dict "name" "http" "address" "0.0.0.0" "port" 8888 -}}
{{- $global := dict "auth" (dict "mode" "api_key") "stores" (dict "memory" $memory) -}}
{{- $known := dict "version" "v0.3" "listeners" (list $listener) "global" $global -}}
{{- mustMerge (deepCopy .Values.config) $known | toYaml -}}
{{- end -}}
