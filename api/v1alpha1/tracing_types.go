// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Tracing exports OpenTelemetry spans of messages and of switches.
type Tracing struct {
	// endpoint is the base URL of an OpenTelemetry collector, or of another receiver of OTLP
	// over HTTP, such as http://collector.monitoring:4318. The runner sends spans to the path
	// v1/traces below it. With https, the system's CA certificates apply, or the file in the
	// environment variable OTEL_EXPORTER_OTLP_CERTIFICATE. Default: the environment variables
	// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT and OTEL_EXPORTER_OTLP_ENDPOINT of runner.env, and
	// otherwise http://localhost:4318.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=300
	// +kubebuilder:validation:XValidation:rule="!self.contains('@')",reason=FieldValueInvalid,message="an endpoint must not contain a user name or password; send them in a header: set OTEL_EXPORTER_OTLP_HEADERS in runner.env from a Secret"
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://([A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?[.]?|\\\\[[0-9a-fA-F:.]+\\\\])(:[0-9]{1,5})?(/[-A-Za-z0-9._~/]*)?$') || self.contains('@')",reason=FieldValueInvalid,message="an endpoint must be http://host:port or https://host:port, with an optional path, such as http://collector.monitoring:4318; the port for OTLP over gRPC, 4317, does not work"
	Endpoint string `json:"endpoint,omitempty"`

	// samplingRatePerMillion is the number of messages per million that start a trace, of the
	// messages that have no trace context. A message that has a trace context, in the user
	// property traceparent of MQTT 5, is traced if its sender has sampled it, at any rate.
	// Switches are always traced. Range 0 to 1000000. Default: the sampler of the environment
	// variable OTEL_TRACES_SAMPLER of runner.env, and otherwise 10000, which is 1%.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	SamplingRatePerMillion *int32 `json:"samplingRatePerMillion,omitempty"`

	// topics controls whether spans contain the topics of messages. Topics often name devices
	// or people, and more people may read traces than may read the messages. Omit leaves the
	// topics out: a span names the filter of its rule. Record adds the topic on the
	// destination as messaging.destination.name. Default Omit.
	// +optional
	Topics TraceTopics `json:"topics,omitempty"`
}

// TraceTopics controls whether spans contain the topics of messages.
//
// +kubebuilder:validation:Enum=Omit;Record
type TraceTopics string

// The values of TraceTopics.
const (
	TraceTopicsOmit   TraceTopics = "Omit"
	TraceTopicsRecord TraceTopics = "Record"
)

// DefaultSamplingRatePerMillion is the default of samplingRatePerMillion.
const DefaultSamplingRatePerMillion int32 = 10_000
