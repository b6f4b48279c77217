// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Failover sets when a server is taken for lost, how others are tried, and when the
// bridge goes back.
//
// +kubebuilder:validation:XValidation:rule="!has(self.probe) || !has(self.probe.policy) || self.probe.policy == 'Always' || (has(self.failback) && has(self.failback.policy) && self.failback.policy == 'Never')",fieldPath=".probe.policy",reason=FieldValueInvalid,message="without probes the bridge cannot tell when to go back; set failback.policy to Never, too, or probe.policy to Always"
type Failover struct {
	// connectTimeoutSeconds bounds one attempt in seconds, from the name lookup to
	// CONNACK: dial, proxy, TLS and WebSocket are part of it. After CONNACK it bounds the
	// time for which the server may be silent until it has answered SUBSCRIBE: messages
	// that come before the answer extend it. Default 5.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=300
	ConnectTimeoutSeconds *int32 `json:"connectTimeoutSeconds,omitempty"`

	// pingTimeoutSeconds is how long in seconds a PINGREQ may stay unanswered
	// before the server is taken for lost. Default 5.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=300
	PingTimeoutSeconds *int32 `json:"pingTimeoutSeconds,omitempty"`

	// ackTimeoutSeconds is how long in seconds a QoS 1 or 2 publish may stay
	// unacknowledged before the server is taken for lost. On Linux it is also
	// how long the server's TCP may acknowledge none of the data under way.
	// Default 10.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	AckTimeoutSeconds *int32 `json:"ackTimeoutSeconds,omitempty"`

	// retry sets the pause between rounds in which every server failed.
	// +optional
	Retry *Retry `json:"retry,omitempty"`

	// probe sets how the servers that are not in use are checked.
	// +optional
	Probe *Probe `json:"probe,omitempty"`

	// failback sets when the bridge goes back to a better server.
	// +optional
	Failback *Failback `json:"failback,omitempty"`

	// staleSession says what becomes of the messages that a server which the bridge
	// has left for another one has queued for it meanwhile, when the bridge comes
	// back. Resume takes them, behind newer ones. Discard has the server drop them:
	// the bridge starts a new session there. It suits sources whose old values are of
	// no use, and servers that all get every message; it loses messages wherever
	// servers share one session state. Where the bridge left and came back before
	// another server was in use, or its runner has been restarted, messages are taken
	// either way. Default Resume.
	// +optional
	StaleSession *StaleSession `json:"staleSession,omitempty"`
}

// StaleSession says what becomes of what a server has queued while another was in
// use.
//
// +kubebuilder:validation:Enum=Resume;Discard
type StaleSession string

// What becomes of what a server has queued while another was in use.
const (
	StaleSessionResume  StaleSession = "Resume"
	StaleSessionDiscard StaleSession = "Discard"
)

// Probe checks servers that are not in use, while another one is: by CONNECT, PINGREQ
// and DISCONNECT, with the bridge's credentials and TLS settings, in a clean session
// under a client identifier of its own.
type Probe struct {
	// policy is Always, or Never for no probes. failback.policy has to be Never then,
	// too. Default Always.
	// +optional
	Policy *ProbePolicy `json:"policy,omitempty"`

	// intervalSeconds is the time between two probes of a server in seconds, more or
	// less by up to a fifth by chance. Default 30.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	IntervalSeconds *int32 `json:"intervalSeconds,omitempty"`

	// timeoutSeconds bounds one probe in seconds, from the name lookup to PINGRESP.
	// Default 5.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=300
	TimeoutSeconds *int32 `json:"timeoutSeconds,omitempty"`

	// clientID is the MQTT client identifier of probes, for servers that take only
	// identifiers that they know. It must not be that of the bridge. Default: derived
	// from the bridge's namespace and name, stable.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	ClientID string `json:"clientID,omitempty"`
}

// ProbePolicy says whether servers that are not in use are probed.
//
// +kubebuilder:validation:Enum=Always;Never
type ProbePolicy string

// Whether servers that are not in use are probed.
const (
	ProbeAlways ProbePolicy = "Always"
	ProbeNever  ProbePolicy = "Never"
)

// Failback sets when the bridge goes back to a better server, one that stands before
// the one in use.
//
// +kubebuilder:validation:XValidation:rule="!has(self.windows) || !has(self.policy) || self.policy == 'Automatic'",fieldPath=".windows",reason=FieldValueInvalid,message="windows say when the bridge goes back by itself, and with policy Never it does not; remove windows or set policy to Automatic"
// +kubebuilder:validation:XValidation:rule="!has(self.timeZone) || has(self.windows)",fieldPath=".timeZone",reason=FieldValueInvalid,message="timeZone is that of windows, and there are none; add windows or remove timeZone"
type Failback struct {
	// policy is Automatic to go back when the better server has proved stable, or Never
	// to stay until the server in use is lost, or another one is asked for. Default
	// Automatic.
	// +optional
	Policy *FailbackPolicy `json:"policy,omitempty"`

	// stableSeconds is for how long in seconds the better server has to pass its probes
	// without a miss. It is doubled each time that the bridge went back and lost the
	// server again before as much time had passed, up to 64 times. Default 60.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	StableSeconds *int32 `json:"stableSeconds,omitempty"`

	// windows are the times in which the bridge may go back by itself. Default: at any
	// time.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Windows []FailbackWindow `json:"windows,omitempty"`

	// timeZone is the time zone of windows, a name of the IANA time zone database such
	// as Europe/Berlin. Default UTC.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$')",reason=FieldValueInvalid,message="timeZone is a name of the IANA time zone database, such as Europe/Berlin or UTC"
	TimeZone string `json:"timeZone,omitempty"`
}

// FailbackPolicy says whether the bridge goes back to a better server by itself.
//
// +kubebuilder:validation:Enum=Automatic;Never
type FailbackPolicy string

// Whether the bridge goes back to a better server by itself.
const (
	FailbackAutomatic FailbackPolicy = "Automatic"
	FailbackNever     FailbackPolicy = "Never"
)

// FailbackWindow is a time that comes again and again.
type FailbackWindow struct {
	// schedule is when the window opens, in the five fields of cron: minute, hour, day
	// of month, month, day of week; as in "0 2 * * 6" for Saturdays at two.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9*?,/-]+ +[0-9*?,/-]+ +[0-9*?,/-]+ +[0-9A-Za-z*?,/-]+ +[0-9A-Za-z*?,/-]+$')",reason=FieldValueInvalid,message="schedule has the five fields of cron, minute, hour, day of month, month and day of week, as in '0 2 * * 6'"
	Schedule string `json:"schedule,omitempty"`

	// durationMinutes is for how long in minutes it stays open.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10080
	DurationMinutes int32 `json:"durationMinutes,omitempty"`
}

// Retry is an exponential backoff with jitter.
//
// +kubebuilder:validation:XValidation:rule="!has(self.initialMilliseconds) || !has(self.maxSeconds) || self.initialMilliseconds <= self.maxSeconds * 1000",fieldPath=".initialMilliseconds",reason=FieldValueInvalid,message="initialMilliseconds must not exceed maxSeconds; lower it or raise maxSeconds"
type Retry struct {
	// initialMilliseconds is the first pause in milliseconds. It doubles from
	// round to round. Default 500.
	// +optional
	// +kubebuilder:validation:Minimum=50
	// +kubebuilder:validation:Maximum=60000
	InitialMilliseconds *int32 `json:"initialMilliseconds,omitempty"`

	// maxSeconds is the longest pause in seconds. Default 30, or as long as
	// initialMilliseconds where that is longer.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	MaxSeconds *int32 `json:"maxSeconds,omitempty"`
}
