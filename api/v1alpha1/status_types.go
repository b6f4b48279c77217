// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// MQTTBridgeStatus is what the operator and the runner last saw. The runner
// owns runner, local, remote, buffer and unforwardable, and writes them on transitions only, together
// with the condition Ready that follows from them; the operator owns the rest.
type MQTTBridgeStatus struct {
	// conditions of the bridge: Ready, LocalConnected, RemoteConnected, Degraded,
	// and Reconciling and Stalled, which are present only when True.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation of the spec that the operator last
	// acted on.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// runner is the pod that reported local and remote.
	// +optional
	Runner *RunnerStatus `json:"runner,omitempty"`

	// local is the state of the local side.
	// +optional
	Local *SideStatus `json:"local,omitempty"`

	// remote is the state of the remote side.
	// +optional
	Remote *SideStatus `json:"remote,omitempty"`

	// buffer is the state of the buffer on disk. It is absent where there is none.
	// +optional
	Buffer *BufferStatus `json:"buffer,omitempty"`

	// unforwardable holds the latest message of each direction that no server takes. It
	// changes at most once a minute, and is removed 10 minutes after the last such message,
	// or, if a message blocks its direction, when it does so no more.
	// +optional
	Unforwardable *UnforwardableStatus `json:"unforwardable,omitempty"`

	// announced is what the operator has sent events for, so that none is sent
	// twice.
	// +optional
	Announced *Announced `json:"announced,omitempty"`
}

// RunnerStatus identifies a runner.
type RunnerStatus struct {
	// pod is the name of the runner's pod.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Pod string `json:"pod,omitempty"`

	// startTime is when the runner started. Counts in the report are since then.
	// +optional
	StartTime metav1.Time `json:"startTime,omitzero"`
}

// SideStatus is the state of one side.
type SideStatus struct {
	// active is the server in use. It is absent while no server is connected.
	// +optional
	Active *ActiveServer `json:"active,omitempty"`

	// servers are all servers of the side, in their order.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Servers []ServerStatus `json:"servers,omitempty"`

	// failovers is how many times the side went from one server to another since
	// the runner started.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Failovers *int64 `json:"failovers,omitempty"`

	// lastFailover is the latest of them.
	// +optional
	LastFailover *FailoverRecord `json:"lastFailover,omitempty"`

	// shortfalls are the things that the server in use does not do as it was asked to, at
	// most one per reason. Each makes the bridge Degraded. They are absent while no server
	// is connected.
	// +optional
	// +listType=map
	// +listMapKey=reason
	// +kubebuilder:validation:MaxItems=16
	Shortfalls []Shortfall `json:"shortfalls,omitempty"`

	// requestedSwitch is what became of the switch that was asked for last, by the
	// annotation mqttbridge.io/switch-local or mqttbridge.io/switch-remote.
	// +optional
	RequestedSwitch *RequestedSwitch `json:"requestedSwitch,omitempty"`
}

// Shortfall is something that a connected server does not do as it was asked to.
type Shortfall struct {
	// reason is one of the reasons of the condition Degraded, in CamelCase.
	// +required
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`

	// message says what is missing, what that costs, and what to do about it.
	// +required
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
}

// RequestedSwitch is what became of a switch that was asked for.
type RequestedSwitch struct {
	// request is the value of the annotation.
	// +required
	// +kubebuilder:validation:MaxLength=256
	Request string `json:"request,omitempty"`

	// state is Pending while the switch is under way, Done when the server is in use, or
	// Refused where it cannot be made; the message says why.
	// +required
	State SwitchState `json:"state,omitempty"`

	// message says how it went, and what to do about it.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`

	// time is when it came into this state.
	// +required
	Time metav1.MicroTime `json:"time,omitzero"`
}

// SwitchState is how far a requested switch has come.
//
// +kubebuilder:validation:Enum=Pending;Done;Refused
type SwitchState string

// How far a requested switch has come.
const (
	SwitchPending SwitchState = "Pending"
	SwitchDone    SwitchState = "Done"
	SwitchRefused SwitchState = "Refused"
)

// ActiveServer is the server in use.
type ActiveServer struct {
	// name of the server.
	// +required
	Name string `json:"name,omitempty"`

	// url of the server, its query masked.
	// +required
	URL string `json:"url,omitempty"`

	// role is the server's place: Primary, Backup-1, Backup-2 and so on.
	// +required
	Role string `json:"role,omitempty"`

	// since is when the connection was made.
	// +required
	Since metav1.Time `json:"since,omitzero"`
}

// ServerStatus is the state of one server.
type ServerStatus struct {
	// name of the server.
	// +required
	Name string `json:"name,omitempty"`

	// url of the server, its query masked.
	// +required
	URL string `json:"url,omitempty"`

	// state of the server.
	// +required
	State ServerState `json:"state,omitempty"`

	// since is when the server came into this state.
	// +required
	Since metav1.Time `json:"since,omitzero"`

	// lastError is why the server failed. Absent where it has not failed since it
	// was last connected, or has passed a probe since then.
	// +optional
	LastError *ServerError `json:"lastError,omitempty"`
}

// ServerState is the state of a server.
//
// +kubebuilder:validation:Enum=Active;Standby;Failed
type ServerState string

// The states of a server.
const (
	// ServerActive is the server in use.
	ServerActive ServerState = "Active"
	// ServerStandby is a server not in use that has passed its latest probe, or is
	// not known to have failed.
	ServerStandby ServerState = "Standby"
	// ServerFailed is a server that was lost, or failed the latest attempt or probe.
	ServerFailed ServerState = "Failed"
)

// ServerError is why a server failed.
type ServerError struct {
	// reason is one of the reasons that package v1alpha1 lists, in CamelCase.
	// +required
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`

	// message says what happened and what to do about it.
	// +required
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
}

// FailoverRecord is one switch from a server to another.
type FailoverRecord struct {
	// from is the name of the server that was left.
	// +required
	From string `json:"from,omitempty"`

	// to is the name of the server that took its place.
	// +required
	To string `json:"to,omitempty"`

	// reason why from was left, as in a server's lastError; or FailedBack or
	// SwitchRequested, where it was left for a better server, or on request.
	// +required
	Reason string `json:"reason,omitempty"`

	// time of the switch, when to was connected.
	// +required
	Time metav1.MicroTime `json:"time,omitzero"`

	// durationMilliseconds is for how long no server took messages, in milliseconds:
	// from when the loss of from was noticed, or messages to it were held back for the
	// switch, until to was ready.
	// +required
	// +kubebuilder:validation:Minimum=0
	DurationMilliseconds *int64 `json:"durationMilliseconds,omitempty"`

	// drained is how many messages from still had to acknowledge, and did before it was
	// left. Only where it was not lost.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Drained *int64 `json:"drained,omitempty"`

	// resent is how many messages from had not acknowledged in time: they were sent
	// again to the server that took its place. Only where it was not lost.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Resent *int64 `json:"resent,omitempty"`
}

// BufferStatus is the state of the buffer on disk. How much is in it is told by
// metrics.
type BufferStatus struct {
	// localToRemote is the backlog of the forwards.
	// +optional
	LocalToRemote *BacklogStatus `json:"localToRemote,omitempty"`

	// remoteToLocal is the backlog of the subscriptions.
	// +optional
	RemoteToLocal *BacklogStatus `json:"remoteToLocal,omitempty"`
}

// BacklogStatus is the state of one direction's backlog.
type BacklogStatus struct {
	// state of the backlog.
	// +required
	State BacklogState `json:"state,omitempty"`

	// since is when it came into this state.
	// +required
	Since metav1.Time `json:"since,omitzero"`

	// message says what is wrong and what to do about it. It is present where the
	// state is Full or Failed, and where damage was found that cost messages.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
}

// BacklogState is the state of a backlog.
//
// +kubebuilder:validation:Enum=Empty;Buffering;Draining;Full;Failed
type BacklogState string

// The states of a backlog.
const (
	// BacklogEmpty: messages pass without the disk.
	BacklogEmpty BacklogState = "Empty"
	// BacklogBuffering: no server is connected on the other side; messages are
	// written to the disk.
	BacklogBuffering BacklogState = "Buffering"
	// BacklogDraining: the backlog goes to the other side, live messages behind it.
	BacklogDraining BacklogState = "Draining"
	// BacklogFull: it has reached its size, or the disk is full; whenFull holds.
	BacklogFull BacklogState = "Full"
	// BacklogFailed: the disk cannot be written, or a part of the backlog cannot be
	// read. If it cannot be written the bridge goes on without it: what the other side
	// has not acknowledged is not acknowledged, and the source holds it. A part that
	// cannot be read is kept, and delivered when it can be read again.
	BacklogFailed BacklogState = "Failed"
)

// Announced is what the operator has sent events for.
type Announced struct {
	// localFailover is the time of the local side's latest announced failover.
	// +optional
	LocalFailover metav1.MicroTime `json:"localFailover,omitzero"`

	// remoteFailover is the time of the remote side's latest announced failover.
	// +optional
	RemoteFailover metav1.MicroTime `json:"remoteFailover,omitzero"`

	// localRequest is the time of the local side's latest refused request that was
	// announced.
	// +optional
	LocalRequest metav1.MicroTime `json:"localRequest,omitzero"`

	// remoteRequest is the time of the remote side's latest refused request that was
	// announced.
	// +optional
	RemoteRequest metav1.MicroTime `json:"remoteRequest,omitzero"`

	// localToRemoteMessage is the time of the latest message of forwards that no server
	// takes and that was announced.
	// +optional
	LocalToRemoteMessage metav1.MicroTime `json:"localToRemoteMessage,omitzero"`

	// remoteToLocalMessage is the time of the latest message of subscriptions that no
	// server takes and that was announced.
	// +optional
	RemoteToLocalMessage metav1.MicroTime `json:"remoteToLocalMessage,omitzero"`

	// localDown is when it was announced that every local server is down. It is
	// absent while one is connected.
	// +optional
	LocalDown metav1.MicroTime `json:"localDown,omitzero"`

	// remoteDown is when it was announced that every remote server is down. It is
	// absent while one is connected.
	// +optional
	RemoteDown metav1.MicroTime `json:"remoteDown,omitzero"`
}

// UnforwardableStatus holds the latest message of each direction that no server takes.
type UnforwardableStatus struct {
	// localToRemote is that of forwards.
	// +optional
	LocalToRemote *UnforwardableMessage `json:"localToRemote,omitempty"`

	// remoteToLocal is that of subscriptions.
	// +optional
	RemoteToLocal *UnforwardableMessage `json:"remoteToLocal,omitempty"`
}

// UnforwardableMessage is a message that no server takes.
type UnforwardableMessage struct {
	// topic of the message on the side that it goes to. It is cut after 256 bytes, and
	// has escapes in place of characters that cannot be printed.
	// +required
	// +kubebuilder:validation:MaxLength=256
	Topic string `json:"topic,omitempty"`

	// bytes is the size of its payload.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Bytes *int64 `json:"bytes,omitempty"`

	// reason is Refused, TooLarge or EndsSession.
	// +required
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`

	// message is the server's answer, what happened to the message, and what to do.
	// +required
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`

	// time is when the attempts to send it ended.
	// +required
	Time metav1.MicroTime `json:"time,omitzero"`

	// blocking is true while the message holds up its direction
	// (delivery.unforwardable.policy: Block).
	// +optional
	Blocking *bool `json:"blocking,omitempty"`
}
