{{- define "prorl.name" -}}
{{- if contains "prorl-operator" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-prorl-operator" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "prorl.selector" -}}
app.kubernetes.io/name: prorl-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "prorl.labels" -}}
{{ include "prorl.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "prorl.keySecret" -}}
{{- .Values.tokenKeySecret | default (printf "%s-token-key" (include "prorl.name" .)) }}
{{- end }}

{{/* Not the operator's: its Service and NetworkPolicy must not select the test. */}}
{{- define "prorl.testLabels" -}}
app.kubernetes.io/name: prorl-operator-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "prorl.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{/* Pod Security `restricted`. */}}
{{- define "prorl.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "prorl.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* What people may do with jobs. Takes the name of the role. */}}
{{- define "prorl.userRules" -}}
- apiGroups: [prorl.dev]
  resources: [prorljobs]
  verbs: [get, list, watch{{ if eq . "editor" }}, create, update, patch, delete, deletecollection{{ end }}]
- apiGroups: [prorl.dev]
  resources: [prorljobs/status]
  verbs: [get]
# For `prorl status`, `events` and `logs`. The role `view` has Events in the core group only.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [pods, pods/log]
  verbs: [get, list, watch]
{{- if eq . "editor" }}
- apiGroups: [prorl.dev]
  resources: [prorljobs/scale]
  verbs: [get, update, patch]
{{- end }}
{{- end }}

{{/* What the operator may do with jobs and their objects. Secrets can be written, not read. */}}
{{- define "prorl.rules" -}}
- apiGroups: [prorl.dev]
  resources: [prorljobs]
  verbs: [get, list, watch, delete] # delete: spec.runPolicy.ttlSecondsAfterFinished
- apiGroups: [prorl.dev]
  resources: [prorljobs/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, create, delete]
- apiGroups: [""]
  resources: [configmaps, services, persistentvolumeclaims]
  verbs: [get, list, watch, create, patch]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [secrets]
  verbs: [create, patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end }}

{{/* Stops before anything is installed, with what to do. Takes the name of the value. */}}
{{- define "prorl.needMonitoring" -}}
{{- if not (.root.Capabilities.APIVersions.Has "monitoring.coreos.com/v1") }}
{{- fail (printf "%s.enabled is true, but the cluster does not serve monitoring.coreos.com/v1: install the CRDs of the Prometheus operator first, or set it to false. `helm template` needs --api-versions monitoring.coreos.com/v1." .value) }}
{{- end }}
{{- end }}
