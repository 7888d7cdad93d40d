{{/* Environment of a gateway. `part` is gateway or leader. */}}
{{- define "larder.environment" -}}
{{- $values := .root.Values -}}
{{- $secret := $values.existingSecret -}}
- { name: LARDER_LISTEN, value: "0.0.0.0:8011" }
- { name: LARDER_LOG_FORMAT, value: json }
- { name: LARDER_PUBLIC_URL, value: {{ $values.publicUrl | quote }} }
- { name: LARDER_DRAIN_TIMEOUT, value: "{{ $values.drainTimeout }}s" }
- { name: LARDER_S3_BUCKET, value: {{ $values.s3.bucket | quote }} }
{{- with $values.s3.endpoint }}
- { name: LARDER_S3_ENDPOINT, value: {{ . | quote }} }
{{- end }}
{{- with $values.s3.prefix }}
- { name: LARDER_S3_PREFIX, value: {{ . | quote }} }
{{- end }}
{{- with $values.s3.region }}
- { name: AWS_REGION, value: {{ . | quote }} }
{{- end }}
{{- if eq $values.s3.credentials "secret" }}
- { name: AWS_ACCESS_KEY_ID, valueFrom: { secretKeyRef: { name: {{ $secret }}, key: access-key } } }
- { name: AWS_SECRET_ACCESS_KEY, valueFrom: { secretKeyRef: { name: {{ $secret }}, key: secret-key } } }
{{- end }}
- { name: LARDER_TOKEN, valueFrom: { secretKeyRef: { name: {{ $secret }}, key: token } } }
- { name: LARDER_SECRET, valueFrom: { secretKeyRef: { name: {{ $secret }}, key: secret } } }
- { name: LARDER_METRICS_TOKEN, valueFrom: { secretKeyRef: { name: {{ $secret }}, key: metrics-token, optional: {{ not $values.serviceMonitor.enabled }} } } }
{{- if $values.leader.enabled }}
- { name: LARDER_LEADER, value: {{ ternary "self" (printf "http://%s-leader:8011" (include "larder.name" .root)) (eq .part "leader") | quote }} }
{{- end }}
{{- range $name, $value := $values.settings }}
- { name: {{ $name }}, value: {{ $value | quote }} }
{{- end }}
{{- with $values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The pod of a gateway, from its service account to its volumes. */}}
{{- define "larder.pod" -}}
{{- $values := .root.Values -}}
serviceAccountName: {{ include "larder.name" .root }}
# Larder makes no calls to the Kubernetes API; cloud credentials have separate volumes.
automountServiceAccountToken: false
# Otherwise each Service of the namespace adds environment variables.
enableServiceLinks: false
{{- with $values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: { type: RuntimeDefault }
containers:
  - name: larder
    image: {{ include "larder.image" .root | quote }}
    imagePullPolicy: {{ $values.image.pullPolicy }}
    args: [serve]
    env:
      {{- include "larder.environment" . | nindent 6 }}
    ports:
      - { name: http, containerPort: 8011 }
    # The gateway listens only after probing the object store, so this waits for that; a start that fails exits by itself.
    # Liveness, not readiness: a pod is not restarted while its object store is down.
    startupProbe:
      httpGet: { path: /health/live, port: http }
      periodSeconds: 2
      timeoutSeconds: 6
      failureThreshold: 150
    # An object store that is down is no reason to restart.
    livenessProbe:
      httpGet: { path: /health/live, port: http }
      periodSeconds: 10
      timeoutSeconds: 5
      failureThreshold: 6
    readinessProbe:
      httpGet: { path: /health/ready, port: http }
      periodSeconds: 5
      timeoutSeconds: 6
      failureThreshold: 2
    lifecycle:
      # Requests still arrive until all balancers have removed the pod.
      preStop: { sleep: { seconds: {{ $values.endpointsDelay }} } }
    resources:
      {{- toYaml $values.resources | nindent 6 }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: { drop: [ALL] }
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
