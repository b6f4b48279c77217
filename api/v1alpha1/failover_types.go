// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Failover controls when a server is treated as lost, how other servers are tried, and when
// the bridge fails back.
//
// +kubebuilder:validation:XValidation:rule="!has(self.probe) || !has(self.probe.policy) || self.probe.policy == 'Always' || (has(self.failback) && has(self.failback.policy) && self.failback.policy == 'Never')",fieldPath=".probe.policy",reason=FieldValueInvalid,message="without probes the bridge cannot detect when to fail back; set failback.policy to Never, too, or probe.policy to Always"
type Failover struct {
	// connectTimeoutSeconds is the time limit of one connection attempt in seconds, from 1
	// to 300. It counts from the name lookup to CONNACK, including TCP, proxy, TLS and
	// WebSocket. After CONNACK it limits how long the server may be silent before it
	// answers SUBSCRIBE; messages that arrive before the answer extend the time. Default 5.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=300
	ConnectTimeoutSeconds *int32 `json:"connectTimeoutSeconds,omitempty"`

	// pingTimeoutSeconds is the time in seconds, from 1 to 300, that a PINGREQ may remain
	// unanswered before the server is treated as lost. Default 5.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=300
	PingTimeoutSeconds *int32 `json:"pingTimeoutSeconds,omitempty"`

	// ackTimeoutSeconds is the time in seconds, from 1 to 3600, that a QoS 1 or 2 message
	// may remain unacknowledged before the server is treated as lost. On Linux it also
	// limits the time for which the data that the bridge has sent may remain without any
	// TCP acknowledgement. Default 10.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	AckTimeoutSeconds *int32 `json:"ackTimeoutSeconds,omitempty"`

	// retry controls the pause after a round in which every server of the side failed. In a
	// round, the bridge tries each server at most once.
	// +optional
	Retry *Retry `json:"retry,omitempty"`

	// probe controls how the servers that are not in use are checked. A probe is a short
	// connection: CONNECT, PINGREQ and DISCONNECT.
	// +optional
	Probe *Probe `json:"probe,omitempty"`

	// failback controls when the bridge returns to a server of higher preference.
	// +optional
	Failback *Failback `json:"failback,omitempty"`

	// staleSession controls what happens to messages that a server queued while the bridge
	// was connected to another server of the side. Resume receives them when the bridge
	// returns to the server, behind newer messages. Discard starts a new session, so that
	// the server drops them. Use Discard if old values are useless, or if every server of
	// the side receives all messages. Discard loses messages if the servers share the
	// session. If no other server was in use in the meantime, or the runner was restarted,
	// the bridge receives the messages with both values. Default Resume.
	// +optional
	StaleSession *StaleSession `json:"staleSession,omitempty"`
}

// StaleSession controls what happens to messages that a server queued while another server
// was in use.
//
// +kubebuilder:validation:Enum=Resume;Discard
type StaleSession string

// The policies for messages that a server queued while another server was in use.
const (
	StaleSessionResume  StaleSession = "Resume"
	StaleSessionDiscard StaleSession = "Discard"
)

// Probe controls how servers that are not in use are checked while another server is in
// use. A probe sends CONNECT, PINGREQ and DISCONNECT with the bridge's credentials and TLS
// settings, in a clean session with its own client identifier.
type Probe struct {
	// policy is Always to probe the servers that are not in use, or Never to make no
	// probes. Never requires failback.policy: Never. Default Always.
	// +optional
	Policy *ProbePolicy `json:"policy,omitempty"`

	// intervalSeconds is the time in seconds, from 1 to 86400, between two probes of a
	// server. It varies randomly by up to a fifth. Default 30.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	IntervalSeconds *int32 `json:"intervalSeconds,omitempty"`

	// timeoutSeconds is the time limit of one probe in seconds, from 1 to 300. It counts
	// from the name lookup to PINGRESP. Default 5.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=300
	TimeoutSeconds *int32 `json:"timeoutSeconds,omitempty"`

	// clientID is the MQTT client identifier of probes, for servers that accept only known
	// identifiers. It must differ from the clientID of the bridge. Default: an identifier
	// that is derived from the cluster and the bridge's namespace and name, and is the same
	// after every restart.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	ClientID string `json:"clientID,omitempty"`
}

// ProbePolicy controls whether servers that are not in use are probed.
//
// +kubebuilder:validation:Enum=Always;Never
type ProbePolicy string

// The policies for probes.
const (
	ProbeAlways ProbePolicy = "Always"
	ProbeNever  ProbePolicy = "Never"
)

// Failback controls when the bridge returns to a server of higher preference: a server that
// comes before the server in use in the side's list.
//
// +kubebuilder:validation:XValidation:rule="!has(self.windows) || !has(self.policy) || self.policy == 'Automatic'",fieldPath=".windows",reason=FieldValueInvalid,message="windows limit when the bridge fails back, but with policy Never it does not fail back; remove windows or set policy to Automatic"
// +kubebuilder:validation:XValidation:rule="!has(self.timeZone) || has(self.windows)",fieldPath=".timeZone",reason=FieldValueInvalid,message="timeZone applies to windows, but windows is empty; add windows or remove timeZone"
type Failback struct {
	// policy is Automatic to return when a server of higher preference has been stable for
	// stableSeconds, or Never to stay until the server in use is lost, or preferredServer
	// requests another server. Default Automatic.
	// +optional
	Policy *FailbackPolicy `json:"policy,omitempty"`

	// stableSeconds is the time in seconds, from 1 to 86400, for which a server of higher
	// preference must pass all its probes before the bridge returns to it. It is doubled
	// each time that the switch to that server fails, or the bridge loses the server again
	// within this time, up to 64 times the configured value. Default 60.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	StableSeconds *int32 `json:"stableSeconds,omitempty"`

	// windows are the times in which the bridge may fail back automatically. Default: at
	// any time.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Windows []Window `json:"windows,omitempty"`

	// timeZone is the time zone of windows, a name of the IANA time zone database such as
	// Europe/Berlin. Default UTC.
	// +optional
	TimeZone TimeZone `json:"timeZone,omitempty"`
}

// FailbackPolicy controls whether the bridge fails back automatically.
//
// +kubebuilder:validation:Enum=Automatic;Never
type FailbackPolicy string

// The policies for failback.
const (
	FailbackAutomatic FailbackPolicy = "Automatic"
	FailbackNever     FailbackPolicy = "Never"
)

// Retry is an exponential backoff with jitter.
//
// +kubebuilder:validation:XValidation:rule="!has(self.initialMilliseconds) || !has(self.maxSeconds) || self.initialMilliseconds <= self.maxSeconds * 1000",fieldPath=".initialMilliseconds",reason=FieldValueInvalid,message="initialMilliseconds must not exceed maxSeconds; lower it or raise maxSeconds"
type Retry struct {
	// initialMilliseconds is the first pause in milliseconds, from 50 to 60000. It doubles
	// after each round, up to maxSeconds. Default 500.
	// +optional
	// +kubebuilder:validation:Minimum=50
	// +kubebuilder:validation:Maximum=60000
	InitialMilliseconds *int32 `json:"initialMilliseconds,omitempty"`

	// maxSeconds is the longest pause in seconds, from 1 to 3600. It is also the time
	// between two attempts to connect to a server that refuses the bridge permanently, for
	// example because of a wrong password. Default 30, or initialMilliseconds if that is
	// longer.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	MaxSeconds *int32 `json:"maxSeconds,omitempty"`
}

// PreferredServer names the server of a side that comes before all others in the order of
// preference.
type PreferredServer struct {
	// name is the name of a server of this side, as in the status, from 1 to 300 characters. It
	// may be a default name, such as the host of the server's URL.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=300
	Name string `json:"name,omitempty"`

	// force is true to switch to the server without a probe. Even then the bridge leaves the
	// server in use only when the preferred server is connected. Default false.
	// +optional
	Force *bool `json:"force,omitempty"`
}
