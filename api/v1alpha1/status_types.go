// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// MQTTBridgeStatus is the state that the operator and the active runner last observed. The active
// runner owns runners without their images, lastTakeover, local, remote, buffer, unforwardable and
// deletion. It writes them only on transitions, together with the condition Ready that follows from
// them. The operator owns the other fields.
type MQTTBridgeStatus struct {
	// conditions are the conditions of the bridge: Ready, LocalConnected, RemoteConnected
	// and Degraded; and Reconciling, Stalled, Suspended and UpdateScheduled, which are present
	// only when True. Ready is absent while Suspended is True. observedGeneration of a condition that
	// describes the runner is the generation that the runner runs.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation of the spec that the operator last
	// acted on. Reconciling or Stalled is present until a runner runs this generation, which
	// runners[].generation shows. It is -1 before the operator has seen the bridge.
	// +optional
	// +kubebuilder:validation:Minimum=-1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// runners are the runners of the bridge, as the active one reports them: the active one itself,
	// and its standby if there is one. An entry without a role is a remainder, which the operator
	// removes. The API server refuses the report of a runner if the status holds the report of a
	// runner that became active later.
	// +optional
	// +listType=map
	// +listMapKey=pod
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:XValidation:rule="!self.exists(r, has(r.role) && r.role == 'Active' && oldSelf.exists(o, has(o.role) && o.role == 'Active' && o.pod != r.pod && (has(o.term) && has(r.term) ? o.term > r.term : has(o.podTime) && has(r.podTime) && o.podTime > r.podTime)))",reason=FieldValueForbidden,message="the status holds the report of a later pod, or of a runner that became active later, which the report of this pod does not replace; no action is necessary: this pod is not active any more"
	Runners []RunnerStatus `json:"runners,omitempty"`

	// lastTakeover is the latest change of the active runner. It is absent if there was none since
	// the active runner started, and after a change until the bridge forwards again.
	// +optional
	LastTakeover *TakeoverRecord `json:"lastTakeover,omitempty"`

	// local is the state of the local side.
	// +optional
	Local *SideStatus `json:"local,omitempty"`

	// remote is the state of the remote side.
	// +optional
	Remote *SideStatus `json:"remote,omitempty"`

	// buffer is the state of the buffer on disk. It is absent if there is no buffer on
	// disk.
	// +optional
	Buffer *BufferStatus `json:"buffer,omitempty"`

	// unforwardable holds the latest message of each direction that no server accepts. It
	// changes at most once a minute. It is removed 10 minutes after the last such message,
	// or, if a message blocks its direction, when the message no longer does.
	// +optional
	Unforwardable *UnforwardableStatus `json:"unforwardable,omitempty"`

	// deletion is the progress of the deletion of the bridge. It is absent while the bridge is
	// not being deleted, and with deletionPolicy: Keep.
	// +optional
	Deletion *DeletionStatus `json:"deletion,omitempty"`
}

// RunnerStatus identifies a runner and the manifest that it runs. The entry of a standby has only the
// fields that the active runner knows.
type RunnerStatus struct {
	// pod is the name of the runner's pod.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Pod string `json:"pod,omitempty"`

	// role is Active (it forwards messages, or will as soon as servers are connected) or Standby (it
	// forwards nothing, and takes over if the active runner ends).
	// +optional
	Role RunnerRole `json:"role,omitempty"`

	// since is when the runner took this role.
	// +optional
	Since metav1.Time `json:"since,omitzero"`

	// warm is true if a standby can take over at once: it is connected to the active runner, has
	// loaded the manifest and probed the servers, and reaches the servers in use. It is absent for
	// the active runner.
	// +optional
	Warm *bool `json:"warm,omitempty"`

	// term is the number of changes of the active runner before this one, as the Lease of the bridge
	// counts them. It orders the reports of two runners. It is absent for a standby, and with
	// replicas: 1.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Term *int64 `json:"term,omitempty"`

	// podTime is when the API server issued the credentials of the pod. It orders the pods
	// of a bridge if they have no term, because the clocks of nodes may differ.
	// +optional
	PodTime metav1.Time `json:"podTime,omitzero"`

	// node is the name of the node on which the pod runs.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Node string `json:"node,omitempty"`

	// image is the image of the runner's container as the pod's spec names it, which an
	// admission webhook may have chosen. The operator sets it after the pod has reported. It
	// is cut after 1,024 bytes.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Image string `json:"image,omitempty"`

	// version is the version of the runner program: the version of its module, and the
	// revision of its source.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Version string `json:"version,omitempty"`

	// generation is metadata.generation of the manifest that the runner runs. If it is less
	// than metadata.generation of the bridge, the latest change of the spec is not in effect.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Generation int64 `json:"generation,omitempty"`

	// refused is the manifest that the runner cannot apply. The runner continues with the
	// manifest of the generation above. It is absent if there is none.
	// +optional
	Refused *RefusedManifest `json:"refused,omitempty"`

	// startTime is when the runner started. The counts in local and remote start at this
	// time.
	// +optional
	StartTime metav1.Time `json:"startTime,omitzero"`

	// stopTime is when the runner began to stop. It then accepts no more messages, and
	// waits until the destinations have acknowledged the messages that it holds. It is
	// absent while the runner runs.
	// +optional
	StopTime metav1.Time `json:"stopTime,omitzero"`

	// reportTime is when the runner last reported a change.
	// +optional
	ReportTime metav1.Time `json:"reportTime,omitzero"`
}

// RunnerRole is the role of a runner.
//
// +kubebuilder:validation:Enum=Active;Standby
type RunnerRole string

// The roles of a runner.
const (
	RunnerActive  RunnerRole = "Active"
	RunnerStandby RunnerRole = "Standby"
)

// ActiveRunner returns the runner that reported the state of the sides, or nil if there is none.
func (s *MQTTBridgeStatus) ActiveRunner() *RunnerStatus {
	for i := range s.Runners {
		if s.Runners[i].Role == RunnerActive {
			return &s.Runners[i]
		}
	}
	return nil
}

// TakeoverRecord is one change of the active runner.
type TakeoverRecord struct {
	// from is the pod of the previous active runner. It is absent if it is not known.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	From string `json:"from,omitempty"`

	// to is the pod of the new active runner. It is the same pod if its process has started again.
	// +required
	// +kubebuilder:validation:MaxLength=253
	To string `json:"to,omitempty"`

	// reason is HandedOver (the previous runner has drained its sessions and has made the new one
	// active), PeerEnded (its process has ended), LeaseExpired (it has not renewed the Lease) or
	// LeaseReleased (the Lease had no holder).
	// +required
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`

	// time is when both sides were connected again.
	// +required
	Time metav1.MicroTime `json:"time,omitzero"`

	// gapMilliseconds is the time in milliseconds in which no runner forwarded messages. It starts
	// with the last sign of life of the previous runner, or the end of its sessions. It ends when both
	// sides were connected.
	// +required
	// +kubebuilder:validation:Minimum=0
	GapMilliseconds *int64 `json:"gapMilliseconds,omitempty"`
}

// The reasons of a TakeoverRecord.
const (
	TakeoverHandedOver    = "HandedOver"
	TakeoverPeerEnded     = "PeerEnded"
	TakeoverLeaseExpired  = "LeaseExpired"
	TakeoverLeaseReleased = "LeaseReleased"
)

// RefusedManifest is a manifest that a runner cannot apply.
type RefusedManifest struct {
	// generation is metadata.generation of the manifest.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Generation int64 `json:"generation,omitempty"`

	// message is why the runner cannot apply the manifest and, if necessary, the remedy.
	// +required
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}

// SideStatus is the state of one side.
type SideStatus struct {
	// clientID is the MQTT client identifier that the bridge uses with the servers of this
	// side.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	ClientID string `json:"clientID,omitempty"`

	// active is the server in use. It is absent while no server is connected.
	// +optional
	Active *ActiveServer `json:"active,omitempty"`

	// servers are all servers of the side: the primary, then the backups in their order. If a
	// change of the spec has removed the server in use, this server is the last one, until
	// another server is in use; it is left out if the side has 16 other servers.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Servers []ServerStatus `json:"servers,omitempty"`

	// switches is the number of changes from one server of the side to another since the
	// runner started, including failbacks and requested switches.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Switches *int64 `json:"switches,omitempty"`

	// lastFailover is the latest change from one server of the side to another, including
	// failbacks and requested switches.
	// +optional
	LastFailover *FailoverRecord `json:"lastFailover,omitempty"`

	// shortfalls are the features that the server in use does not provide as configured, and
	// changed credentials that cannot be used, at most one per reason. Each makes the bridge
	// Degraded. They are absent while no server is connected.
	// +optional
	// +listType=map
	// +listMapKey=reason
	// +kubebuilder:validation:MaxItems=16
	Shortfalls []Shortfall `json:"shortfalls,omitempty"`

	// requestedSwitch is the state of the switch that preferredServer of this side requests.
	// It is absent if no server is requested.
	// +optional
	RequestedSwitch *RequestedSwitch `json:"requestedSwitch,omitempty"`
}

// Shortfall is a feature that a connected server does not provide as configured.
type Shortfall struct {
	// reason is a reason of the condition Degraded, such as QoSLowered.
	// +required
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`

	// message describes the missing feature, its effect, and the remedy.
	// +required
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
}

// RequestedSwitch is the state of a requested switch.
type RequestedSwitch struct {
	// server is the name of the requested server.
	// +required
	// +kubebuilder:validation:MaxLength=300
	Server string `json:"server,omitempty"`

	// generation is the metadata.generation of the manifest in which the runner found this
	// request first. It is absent if the manifest has no generation, as without Kubernetes.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Generation int64 `json:"generation,omitempty"`

	// state is Pending while the switch is in progress, Done when the server is in use, or
	// Refused if the switch cannot be made; the message gives the cause.
	// +required
	State SwitchState `json:"state,omitempty"`

	// message describes the result of the request and, if necessary, the remedy.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`

	// time is when the request entered this state.
	// +required
	Time metav1.MicroTime `json:"time,omitzero"`
}

// SwitchState is the progress of a requested switch.
//
// +kubebuilder:validation:Enum=Pending;Done;Refused
type SwitchState string

// The states of a requested switch.
const (
	SwitchPending SwitchState = "Pending"
	SwitchDone    SwitchState = "Done"
	SwitchRefused SwitchState = "Refused"
)

// ActiveServer is the server in use.
type ActiveServer struct {
	// name is the name of the server.
	// +required
	Name string `json:"name,omitempty"`

	// url is the URL of the server, with its query masked.
	// +required
	URL string `json:"url,omitempty"`

	// role is Primary or Backup.
	// +required
	Role ServerRole `json:"role,omitempty"`

	// place is the server's place in the side's list: 1 is the primary, 2 the first backup
	// and so on. A server that a change of the spec has removed comes after the others.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=16
	Place int32 `json:"place,omitempty"`

	// since is when the server was connected.
	// +required
	Since metav1.Time `json:"since,omitzero"`
}

// ServerRole is the role of a server in its list.
//
// +kubebuilder:validation:Enum=Primary;Backup
type ServerRole string

// The roles of a server.
const (
	RolePrimary ServerRole = "Primary"
	RoleBackup  ServerRole = "Backup"
)

// ServerStatus is the state of one server.
type ServerStatus struct {
	// name is the name of the server.
	// +required
	Name string `json:"name,omitempty"`

	// url is the URL of the server, with its query masked.
	// +required
	URL string `json:"url,omitempty"`

	// state is Active (in use), Standby (not in use, and not known to have failed) or
	// Failed (lost, or its latest attempt or probe has failed).
	// +required
	State ServerState `json:"state,omitempty"`

	// since is when the server entered this state.
	// +required
	Since metav1.Time `json:"since,omitzero"`

	// lastError is the latest failure of the server. It is absent if the server has not
	// failed, or has been connected or has passed a probe since its latest failure.
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
	// ServerStandby is a server that is not in use, and that has passed its latest probe or
	// is not known to have failed.
	ServerStandby ServerState = "Standby"
	// ServerFailed is a server that was lost, or whose latest attempt or probe failed.
	ServerFailed ServerState = "Failed"
)

// ServerError is why a server failed.
type ServerError struct {
	// reason is the cause of the failure in CamelCase, such as AuthenticationFailed.
	// docs/troubleshooting.md explains all of them.
	// +required
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`

	// message describes the failure and the remedy.
	// +required
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
}

// FailoverRecord is one change from a server to another.
type FailoverRecord struct {
	// from is the name of the previous server.
	// +required
	From string `json:"from,omitempty"`

	// to is the name of the new server.
	// +required
	To string `json:"to,omitempty"`

	// reason is why the bridge stopped using the previous server: the reason of that
	// server's failure; or FailedBack if the bridge returned to a server of higher
	// preference; or SwitchRequested if preferredServer requested the switch; or
	// ServerRemoved if a change of the spec removed the previous server.
	// +required
	Reason string `json:"reason,omitempty"`

	// time is when the new server was connected.
	// +required
	Time metav1.MicroTime `json:"time,omitzero"`

	// silentMilliseconds is the time in milliseconds for which the previous server had left
	// the bridge without an answer when the bridge detected its loss: since its latest
	// acknowledgement if messages were in flight, or since it last sent anything if it did
	// not answer a ping. It is 0 if the bridge waited for no answer. It is present only if
	// the previous server was lost.
	// +optional
	// +kubebuilder:validation:Minimum=0
	SilentMilliseconds *int64 `json:"silentMilliseconds,omitempty"`

	// durationMilliseconds is the time in milliseconds in which no server accepted
	// messages. It starts when the bridge detected the loss of the previous server or, in a
	// switch, stopped sending messages to it. It ends when the new server was ready.
	// +required
	// +kubebuilder:validation:Minimum=0
	DurationMilliseconds *int64 `json:"durationMilliseconds,omitempty"`

	// drained is the number of messages in flight that the previous server acknowledged
	// before the bridge disconnected from it. It is present only if that server was not
	// lost.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Drained *int64 `json:"drained,omitempty"`

	// resent is the number of messages in flight that the previous server did not
	// acknowledge in time, and that were sent again to the new server. It is present only
	// if the previous server was not lost.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Resent *int64 `json:"resent,omitempty"`
}

// BufferStatus is the state of the buffer on disk. The metrics mqttbridge_backlog_*
// report its size.
type BufferStatus struct {
	// localToRemote is the backlog of this direction.
	// +optional
	LocalToRemote *BacklogStatus `json:"localToRemote,omitempty"`

	// remoteToLocal is the backlog of this direction.
	// +optional
	RemoteToLocal *BacklogStatus `json:"remoteToLocal,omitempty"`
}

// BacklogStatus is the state of one direction's backlog.
type BacklogStatus struct {
	// state is Empty (messages are forwarded without the disk), Buffering (no server of the
	// destination is connected, and messages are written to the disk), Draining (the
	// backlog is sent to the destination), Full (the backlog has reached its size, or the
	// disk is full) or Failed (the disk cannot be written, or a part of the backlog cannot
	// be read).
	// +required
	State BacklogState `json:"state,omitempty"`

	// since is when the backlog entered this state.
	// +required
	Since metav1.Time `json:"since,omitzero"`

	// message describes the problem and the remedy. It is present if the state is Full or
	// Failed, or if messages were lost because of damage.
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
	// BacklogEmpty: messages are forwarded without the disk.
	BacklogEmpty BacklogState = "Empty"
	// BacklogBuffering: no server of the destination is connected; messages are written to
	// the disk.
	BacklogBuffering BacklogState = "Buffering"
	// BacklogDraining: the backlog is sent to the destination, with live messages behind
	// it.
	BacklogDraining BacklogState = "Draining"
	// BacklogFull: the backlog has reached its size, or the disk is full; whenFull applies.
	BacklogFull BacklogState = "Full"
	// BacklogFailed: the disk cannot be written, or a part of the backlog cannot be read.
	// If the disk cannot be written, the bridge continues without it: messages that the
	// destination has not acknowledged are not acknowledged to the source, which keeps
	// them. A part that cannot be read is kept, and delivered when it can be read again.
	BacklogFailed BacklogState = "Failed"
)

// UnforwardableStatus holds the latest message of each direction that no server accepts.
type UnforwardableStatus struct {
	// localToRemote is the latest such message of this direction.
	// +optional
	LocalToRemote *UnforwardableMessage `json:"localToRemote,omitempty"`

	// remoteToLocal is the latest such message of this direction.
	// +optional
	RemoteToLocal *UnforwardableMessage `json:"remoteToLocal,omitempty"`
}

// UnforwardableMessage is a message that no server accepts.
type UnforwardableMessage struct {
	// topic is the topic of the message on its destination. It is cut after 256 bytes, and
	// characters that cannot be printed are escaped.
	// +required
	// +kubebuilder:validation:MaxLength=256
	Topic string `json:"topic,omitempty"`

	// bytes is the size of the payload in bytes.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Bytes *int64 `json:"bytes,omitempty"`

	// reason is Refused (the server refuses the message by a reason code), TooLarge (the
	// message exceeds the server's maximum packet size) or EndsSession (the server ends the
	// session when it receives the message).
	// +required
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`

	// message describes the server's answer, the treatment of the message, and the remedy.
	// +required
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`

	// time is when the runner found that the message is unforwardable.
	// +required
	Time metav1.MicroTime `json:"time,omitzero"`

	// blocking is true while the message blocks all later messages of its direction
	// (delivery.unforwardable.policy: Block).
	// +optional
	Blocking *bool `json:"blocking,omitempty"`
}
