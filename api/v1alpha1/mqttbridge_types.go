// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// MQTTBridge connects two MQTT sides, local and remote, and forwards messages between them.
// Each side has a primary server and an ordered list of backup servers. One runner pod
// serves one bridge; it fails over between the servers of a side in order. With replicas: 2, a
// second pod takes over if the first one ends.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=mqttbridges,singular=mqttbridge,shortName=mqb,categories=all
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,description="Whether the bridge forwards messages now; empty while the bridge is suspended"
// +kubebuilder:printcolumn:name="Local",type=string,JSONPath=`.status.local.active.name`,description="The local server in use"
// +kubebuilder:printcolumn:name="Remote",type=string,JSONPath=`.status.remote.active.name`,description="The remote server in use"
// +kubebuilder:printcolumn:name="Role",type=string,JSONPath=`.status.remote.active.role`,description="Whether the remote server in use is the primary or a backup"
// +kubebuilder:printcolumn:name="Since",type=date,JSONPath=`.status.remote.active.since`,description="Time since the bridge connected to the remote server in use"
// +kubebuilder:printcolumn:name="Switches",type=integer,JSONPath=`.status.remote.switches`,description="Number of changes from one remote server to another since the runner started"
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[0:0,?(@.type=="Ready"),?(@.type=="Suspended")].reason`,description="The reason of the condition Ready, or Suspended"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Generation",type=integer,priority=1,JSONPath=`.status.runners[?(@.role=="Active")].generation`,description="The generation of the spec that the runner runs"
// +kubebuilder:printcolumn:name="Runner",type=string,priority=1,JSONPath=`.status.runners[?(@.role=="Active")].pod`,description="The pod of the active runner"
// +kubebuilder:printcolumn:name="Node",type=string,priority=1,JSONPath=`.status.runners[?(@.role=="Active")].node`,description="The node of the active runner"
// +kubebuilder:printcolumn:name="Standby",type=string,priority=1,JSONPath=`.status.runners[?(@.role=="Standby")].pod`,description="The pod of the standby runner; empty with replicas: 1"
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[0:0,?(@.type=="Ready"),?(@.type=="Suspended")].message`,description="The message of the condition Ready, or Suspended"
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 52",fieldPath=".metadata",reason=FieldValueInvalid,message="name must be at most 52 characters, because the names of the bridge's Deployment and pods are made from it; choose a shorter name"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.buffer) || !has(self.spec.buffer.disk) || !has(self.spec.buffer.disk.existingClaim) || self.spec.buffer.disk.existingClaim != self.metadata.name + '-bridge'",fieldPath=".spec.buffer.disk.existingClaim",reason=FieldValueInvalid,message="existingClaim is the name of the claim that the operator creates for this bridge; remove existingClaim to use that claim, or choose another claim"
type MQTTBridge struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is the desired state of the bridge.
	// +required
	Spec MQTTBridgeSpec `json:"spec,omitzero"`

	// status is the state that the operator and the runner last observed. Before the
	// operator has seen the bridge, observedGeneration is -1, so that tools which compare it
	// with metadata.generation wait.
	// +optional
	// +default={"observedGeneration":-1}
	Status MQTTBridgeStatus `json:"status,omitzero"`
}

// MQTTBridgeList is a list of bridges.
//
// +kubebuilder:object:root=true
type MQTTBridgeList struct {
	metav1.TypeMeta `json:",inline"`

	// +optional
	metav1.ListMeta `json:"metadata,omitzero"`

	Items []MQTTBridge `json:"items"`
}

// MQTTBridgeSpec is the desired state of a bridge.
//
// +kubebuilder:validation:XValidation:rule="(has(self.localToRemote) && size(self.localToRemote) > 0) || (has(self.remoteToLocal) && size(self.remoteToLocal) > 0)",fieldPath=".localToRemote",reason=FieldValueRequired,message="a bridge needs at least one entry in localToRemote or remoteToLocal"
// +kubebuilder:validation:XValidation:rule="!([self.local.primary.url] + (has(self.local.backups) ? self.local.backups.map(b, b.url) : [])).exists(u, u == self.remote.primary.url || (has(self.remote.backups) && self.remote.backups.exists(b, b.url == u)))",fieldPath=".remote",reason=FieldValueInvalid,message="local and remote have a server with the same URL; a bridge connects two different sides: list each server on one side only"
// +kubebuilder:validation:XValidation:rule="!has(self.localToRemote) || !has(self.remoteToLocal) || !((has(self.local.bridgeMode) && self.local.bridgeMode == 'Off' && (!has(self.local.protocolVersion) || self.local.protocolVersion != '5')) || (has(self.remote.bridgeMode) && self.remote.bridgeMode == 'Off' && (!has(self.remote.protocolVersion) || self.remote.protocolVersion != '5'))) || !self.localToRemote.exists(f, (!has(f.topic) || f.topic == '${topic}') && self.remoteToLocal.exists(s, s.filter == f.filter && (!has(s.topic) || s.topic == '${topic}')))",fieldPath=".remoteToLocal",reason=FieldValueInvalid,message="a rule of localToRemote and a rule of remoteToLocal have the same filter and both keep the topic, so every message would circulate in a loop, because with MQTT 3.1.1 and bridgeMode: Off a server sends the bridge's own messages back; set protocolVersion: '5' or bridgeMode: Auto on that side, or give one of the rules a topic that the other's filter does not match"
// +kubebuilder:validation:XValidation:rule="!has(self.localToRemote) || (has(self.remote.protocolVersion) && self.remote.protocolVersion == '5') || !self.localToRemote.exists(f, has(f.userProperties) && size(f.userProperties) > 0)",fieldPath=".localToRemote",reason=FieldValueInvalid,message="userProperties in localToRemote need MQTT 5 on the side that the messages go to; set remote.protocolVersion to '5' or remove them"
// +kubebuilder:validation:XValidation:rule="!has(self.remoteToLocal) || (has(self.local.protocolVersion) && self.local.protocolVersion == '5') || !self.remoteToLocal.exists(s, has(s.userProperties) && size(s.userProperties) > 0)",fieldPath=".remoteToLocal",reason=FieldValueInvalid,message="userProperties in remoteToLocal need MQTT 5 on the side that the messages go to; set local.protocolVersion to '5' or remove them"
// +kubebuilder:validation:XValidation:rule="!has(self.localToRemote) || (has(self.local.protocolVersion) && self.local.protocolVersion == '5') || !self.localToRemote.exists(f, has(f.retainHandling))",fieldPath=".localToRemote",reason=FieldValueInvalid,message="retainHandling in localToRemote needs MQTT 5 on the side that the messages come from; set local.protocolVersion to '5' or remove it"
// +kubebuilder:validation:XValidation:rule="!has(self.remoteToLocal) || (has(self.remote.protocolVersion) && self.remote.protocolVersion == '5') || !self.remoteToLocal.exists(s, has(s.retainHandling))",fieldPath=".remoteToLocal",reason=FieldValueInvalid,message="retainHandling in remoteToLocal needs MQTT 5 on the side that the messages come from; set remote.protocolVersion to '5' or remove it"
// +kubebuilder:validation:XValidation:rule="!has(self.delivery) || !has(self.delivery.maxHops) || (has(self.local.protocolVersion) && self.local.protocolVersion == '5' && has(self.remote.protocolVersion) && self.remote.protocolVersion == '5')",fieldPath=".delivery.maxHops",reason=FieldValueInvalid,message="maxHops needs MQTT 5 on both sides, because hops are counted in a user property; set local.protocolVersion and remote.protocolVersion to '5' or remove maxHops"
// +kubebuilder:validation:XValidation:rule="!has(self.buffer) || !has(self.buffer.drain) || has(self.buffer.disk) || (has(self.buffer.qos0WhenDown) && self.buffer.qos0WhenDown == 'Buffer')",fieldPath=".buffer.drain",reason=FieldValueInvalid,message="drain limits the rate at which messages leave the buffer, but no buffer is configured; set buffer.disk or buffer.qos0WhenDown: Buffer, or remove drain"
// +kubebuilder:validation:XValidation:rule="!has(self.notifications) || !has(self.delivery) || !has(self.delivery.unforwardable) || !has(self.delivery.unforwardable.deadLetter) || self.delivery.unforwardable.deadLetter.topic != self.notifications.topic",fieldPath=".delivery.unforwardable.deadLetter.topic",reason=FieldValueInvalid,message="dead letters and notifications have the same topic, so they would replace each other; choose another topic, such as bridges/plant1/dead"
// +kubebuilder:validation:XValidation:rule="!has(self.standby) || (has(self.replicas) && self.replicas == 2)",fieldPath=".standby",reason=FieldValueInvalid,message="standby controls the second runner, but the bridge has only one; set replicas to 2, or remove standby"
// +kubebuilder:validation:XValidation:rule="!has(self.replicas) || self.replicas != 2 || !has(self.buffer) || !has(self.buffer.disk)",fieldPath=".replicas",reason=FieldValueInvalid,message="two runners cannot share a buffer on disk, because a backlog on the volume of a lost node would be sent late and out of order; remove buffer.disk, so that the source server keeps the messages in the session of the bridge, or set replicas to 1"
// +kubebuilder:validation:XValidation:rule="!has(self.replicas) || self.replicas != 2 || !has(self.runner) || !has(self.runner.env) || !self.runner.env.exists(e, e.name == 'POD_IP')",fieldPath=".runner.env",reason=FieldValueInvalid,message="with replicas: 2 the operator sets POD_IP; remove it"
// +kubebuilder:validation:XValidation:rule="!has(self.replicas) || self.replicas != 2 || !has(self.runner) || !has(self.runner.metricsPort) || self.runner.metricsPort != 8091",fieldPath=".runner.metricsPort",reason=FieldValueInvalid,message="with replicas: 2, metricsPort must differ from 8091, the port for the other runner; choose another port such as 9090"
type MQTTBridgeSpec struct {
	// local is the side near the bridge, such as the brokers of a plant.
	// +required
	Local Side `json:"local,omitzero"`

	// remote is the far side, such as brokers in the cloud.
	// +required
	Remote Side `json:"remote,omitzero"`

	// localToRemote are the rules for messages from local to remote. Two rules must differ in
	// filter or topic; filters that differ only in the prefix $exclusive/ count as equal.
	// +optional
	// +listType=map
	// +listMapKey=filter
	// +listMapKey=topic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self.all(r, self.exists_one(o, (has(o.name) ? o.name : o.filter) == (has(r.name) ? r.name : r.filter)))",reason=FieldValueInvalid,message="two rules of this direction have the same name, which is by default the filter; set name to different names"
	// +kubebuilder:validation:XValidation:rule="!self.exists(r, r.filter.startsWith('$exclusive/') && self.exists(o, '$exclusive/' + o.filter == r.filter && o.topic == r.topic))",reason=FieldValueInvalid,message="the filters of two rules of this direction differ only in the prefix $exclusive/, and their topics are equal, so each message would be published twice; remove the rule without the prefix, or set topic to different topics"
	LocalToRemote []Rule `json:"localToRemote,omitempty"`

	// remoteToLocal are the rules for messages from remote to local. Two rules must differ in
	// filter or topic; filters that differ only in the prefix $exclusive/ count as equal.
	// +optional
	// +listType=map
	// +listMapKey=filter
	// +listMapKey=topic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self.all(r, self.exists_one(o, (has(o.name) ? o.name : o.filter) == (has(r.name) ? r.name : r.filter)))",reason=FieldValueInvalid,message="two rules of this direction have the same name, which is by default the filter; set name to different names"
	// +kubebuilder:validation:XValidation:rule="!self.exists(r, r.filter.startsWith('$exclusive/') && self.exists(o, '$exclusive/' + o.filter == r.filter && o.topic == r.topic))",reason=FieldValueInvalid,message="the filters of two rules of this direction differ only in the prefix $exclusive/, and their topics are equal, so each message would be published twice; remove the rule without the prefix, or set topic to different topics"
	RemoteToLocal []Rule `json:"remoteToLocal,omitempty"`

	// delivery controls how messages are delivered to their destination.
	// +optional
	Delivery *Delivery `json:"delivery,omitempty"`

	// buffer configures the place for messages that the destination cannot accept at once.
	// Default: buffer.memory with its default size and no disk; the source server keeps
	// unacknowledged QoS 1 and 2 messages.
	// +optional
	Buffer *Buffer `json:"buffer,omitempty"`

	// notifications report to the clients of both sides whether the bridge forwards, by a
	// retained message: 1 while both sides are connected, else 0. The 0 is also the Will of
	// both sessions (MQTT 3.1.1 section 3.1.2.5), so that the server publishes it if the
	// runner dies or the connection is lost. Default: no notifications.
	// +optional
	Notifications *Notifications `json:"notifications,omitempty"`

	// tracing exports OpenTelemetry spans of messages and of switches. The running pod applies a
	// change within seconds. Default: no tracing.
	// +optional
	Tracing *Tracing `json:"tracing,omitempty"`

	// suspend stops the bridge: the runner waits for up to 10 seconds until the messages
	// that it holds are acknowledged, and is then scaled to zero. While the bridge is
	// suspended, the source server keeps new QoS 1 and 2 messages in the bridge's
	// persistent session, within the server's limits; with cleanSession: true they are
	// lost. Default false.
	// +optional
	Suspend *bool `json:"suspend,omitempty"`

	// replicas is the number of runners. With 2, one runner is active and forwards, and the other
	// one is its standby, if possible on another node: it takes over within milliseconds if the
	// active runner ends, and within standby.leaseDurationSeconds if its node is lost. A change
	// replaces the pod, with a short gap. It needs no buffer.disk. Without Kubernetes it has no
	// effect: two runners need --peer. Range 1 to 2. Default 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2
	Replicas *int32 `json:"replicas,omitempty"`

	// standby controls how the standby takes over. It needs replicas: 2.
	// +optional
	Standby *Standby `json:"standby,omitempty"`

	// deletionPolicy controls the work that is done before the bridge is deleted. Keep does
	// nothing: the sessions remain, and the servers continue to queue messages in them, until
	// their own limits. EndSessions ends the sessions on all servers of the sides that messages
	// come from; the servers delete the messages that they have queued in them. Drain first
	// unsubscribes from all filters, and delivers all messages that the bridge holds and that
	// the servers have queued for it; then it does the same as EndSessions. Both also delete
	// the retained message of notifications on all servers. With both, the bridge has a
	// finalizer, and its deletion waits until the work is done or deletionTimeoutSeconds has
	// passed. Default Keep.
	// +optional
	DeletionPolicy *DeletionPolicy `json:"deletionPolicy,omitempty"`

	// deletionTimeoutSeconds is the longest time in seconds that deletionPolicy delays the
	// deletion of the bridge. After it the bridge is deleted in any case, and an event names
	// the sessions and the number of messages that remain. Keep ignores it. Range 10 to 86400.
	// Default 300.
	// +optional
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=86400
	DeletionTimeoutSeconds *int32 `json:"deletionTimeoutSeconds,omitempty"`

	// className is the class of the operators that reconcile this bridge: the value of the
	// operator's flag --class. Operators ignore bridges of other classes. If the class is
	// changed, an operator of the new class takes over the bridge with its child objects.
	// Default: no class, for the operators without --class.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",reason=FieldValueInvalid,message="className must consist of lower case letters, digits and '-', and start and end with a letter or digit, as the value of the operator's flag --class"
	ClassName string `json:"className,omitempty"`

	// runner controls how the bridge's pod runs.
	// +optional
	Runner *Runner `json:"runner,omitempty"`
}

// Side is one side of a bridge: servers in order of preference, and how to
// connect to them.
//
// +kubebuilder:validation:XValidation:rule="!has(self.backups) || (self.backups.all(b, (b.url.startsWith('mqtt') ? (b.url.lowerAscii() + '/').replace(b.url.startsWith('mqtts') ? ':8883/' : ':1883/', '/') : b.url) != (self.primary.url.startsWith('mqtt') ? (self.primary.url.lowerAscii() + '/').replace(self.primary.url.startsWith('mqtts') ? ':8883/' : ':1883/', '/') : self.primary.url)) && self.backups.all(b, self.backups.exists_one(o, (o.url.startsWith('mqtt') ? (o.url.lowerAscii() + '/').replace(o.url.startsWith('mqtts') ? ':8883/' : ':1883/', '/') : o.url) == (b.url.startsWith('mqtt') ? (b.url.lowerAscii() + '/').replace(b.url.startsWith('mqtts') ? ':8883/' : ':1883/', '/') : b.url))))",fieldPath=".backups",reason=FieldValueInvalid,message="two servers of this side have the same URL, apart from upper and lower case or the default port; list each server once"
// +kubebuilder:validation:XValidation:rule="!has(self.backups) || (self.backups.all(b, !has(b.name) || !has(self.primary.name) || b.name != self.primary.name) && self.backups.all(b, !has(b.name) || self.backups.exists_one(o, has(o.name) && o.name == b.name)))",fieldPath=".backups",reason=FieldValueInvalid,message="two servers of this side have the same name; give each server a different name"
// +kubebuilder:validation:XValidation:rule="!has(self.webSocket) || self.primary.url.matches('^wss?://') || (has(self.backups) && self.backups.exists(b, b.url.matches('^wss?://')))",fieldPath=".webSocket",reason=FieldValueInvalid,message="webSocket is set but no server of this side has a WebSocket URL; write ws:// or wss:// in the URLs or remove webSocket"
// +kubebuilder:validation:XValidation:rule="!has(self.tls) || self.primary.url.matches('^(mqtts|ssl|tls|wss)://') || (has(self.backups) && self.backups.exists(b, b.url.matches('^(mqtts|ssl|tls|wss)://')))",fieldPath=".tls",reason=FieldValueInvalid,message="tls is set but no server of this side has a TLS URL; write mqtts:// or wss:// in the URLs or remove tls"
// +kubebuilder:validation:XValidation:rule="(has(self.protocolVersion) && self.protocolVersion == '5') || !has(self.credentials) || has(self.credentials.username)",fieldPath=".credentials.username",reason=FieldValueRequired,message="MQTT 3.1.1 does not permit a password without a user name; set username in these credentials, or set protocolVersion: '5' on this side"
// +kubebuilder:validation:XValidation:rule="(has(self.protocolVersion) && self.protocolVersion == '5') || !has(self.primary.credentials) || has(self.primary.credentials.username)",fieldPath=".primary.credentials.username",reason=FieldValueRequired,message="MQTT 3.1.1 does not permit a password without a user name; set username in these credentials, or set protocolVersion: '5' on this side"
// +kubebuilder:validation:XValidation:rule="(has(self.protocolVersion) && self.protocolVersion == '5') || !has(self.backups) || self.backups.all(b, !has(b.credentials) || has(b.credentials.username))",fieldPath=".backups",reason=FieldValueRequired,message="MQTT 3.1.1 does not permit a password without a user name; set username in these credentials, or set protocolVersion: '5' on this side"
// +kubebuilder:validation:XValidation:rule="!has(self.clientID) || !has(self.failover) || !has(self.failover.probe) || !has(self.failover.probe.clientID) || self.failover.probe.clientID != self.clientID",fieldPath=".failover.probe.clientID",reason=FieldValueInvalid,message="probes need a client identifier that differs from the bridge's, because a server disconnects a client when another client connects with the same identifier; set failover.probe.clientID to an identifier other than clientID, or remove it"
type Side struct {
	// primary is the first server in the order of preference.
	// +required
	Primary Server `json:"primary,omitzero"`

	// backups are up to 15 servers that are tried, in this order, when the primary cannot
	// be used.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=15
	Backups []Server `json:"backups,omitempty"`

	// protocolVersion is the MQTT version that the bridge uses on this side: "3.1.1" or
	// "5", in quotes. Default "3.1.1".
	// +optional
	ProtocolVersion *ProtocolVersion `json:"protocolVersion,omitempty"`

	// clientID is the MQTT client identifier (MQTT 3.1.1 section 3.1.3.1) that the bridge
	// uses with every server of this side. No other client may use it: a server disconnects
	// the older of two clients with the same identifier. status shows the identifier in use.
	// Default: an identifier that is derived from the cluster and the bridge's namespace and
	// name, so that it is the same after every restart, also if the bridge is deleted and
	// created again.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	ClientID string `json:"clientID,omitempty"`

	// keepAliveSeconds is the MQTT keep alive in seconds, from 1 to 65535 (MQTT 3.1.1
	// section 3.1.2.10): the bridge checks an idle connection by a PINGREQ at this
	// interval, or up to a quarter earlier. Default 10.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	KeepAliveSeconds *int32 `json:"keepAliveSeconds,omitempty"`

	// cleanSession is the Clean Session flag (MQTT 3.1.1 section 3.1.2.4). In MQTT 5 it
	// sets Clean Start and a session expiry interval of 0 (sections 3.1.2.4 and
	// 3.1.2.11.2), and sessionExpiry has no effect. If it is true, a server discards the
	// session when the connection ends and keeps no messages for the bridge: messages
	// that arrive while the bridge is not connected are lost. If no rule receives messages
	// from a side, the bridge always uses a clean session on that side. Default false.
	// +optional
	CleanSession *bool `json:"cleanSession,omitempty"`

	// sessionExpiry is the time for which an MQTT 5 server keeps the session, and the
	// messages in it, while the bridge is not connected (MQTT 5 section 3.1.2.11.2): Never
	// for no limit, or hours, minutes and seconds, as in 72h or 1h30m, from 1s to
	// 1193046h28m14s (4294967294 seconds). A server may grant a shorter time. With MQTT
	// 3.1.1 sessions never expire, and this field has no effect. Default Never.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=33
	// +kubebuilder:validation:XValidation:rule="self == 'Never' || (self.matches('^([0-9]{1,10}h)?([0-9]{1,10}m)?([0-9]{1,10}s)?$') && [int('0' + self.find('[0-9]+h').find('[0-9]+')) * 3600 + int('0' + self.find('[0-9]+m').find('[0-9]+')) * 60 + int('0' + self.find('[0-9]+s').find('[0-9]+'))].all(seconds, seconds >= 1 && seconds <= 4294967294))",reason=FieldValueInvalid,message="sessionExpiry must be Never, or a time from 1s to 1193046h28m14s in whole hours, minutes and seconds, as in 72h or 1h30m"
	SessionExpiry SessionExpiry `json:"sessionExpiry,omitempty"`

	// maximumPacketSize is the size in bytes of the largest packet that the bridge accepts
	// from servers of this side, from 1Ki to 268435460, the largest size in MQTT. The
	// bridge announces it to MQTT 5 servers (Maximum Packet Size, section 3.1.2.11.4),
	// which drop larger messages themselves; the bridge cannot report those. If a server
	// sends a larger message nevertheless, as MQTT 3.1.1 servers do, the bridge drops and
	// acknowledges it, counts it in mqttbridge_messages_dropped_total with the cause
	// too_large, and logs its topic and size; it never holds the message in memory. While
	// the runner forwards messages of this size, it needs up to eight times this size in
	// addition to its memory use without messages: 256Mi with the default. Default 32Mi.
	// +optional
	// +kubebuilder:validation:XValidation:rule="string(self).size() <= 64 && !string(self).matches('[eE][+-]?[0-9.]{3}') && (!isQuantity(string(self)) || (quantity(string(self)).compareTo(quantity('1Ki')) >= 0 && quantity(string(self)).compareTo(quantity('268435460')) <= 0))",reason=FieldValueInvalid,message="maximumPacketSize must be from 1Ki to 268435460, as in 32Mi"
	MaximumPacketSize *resource.Quantity `json:"maximumPacketSize,omitempty"`

	// bridgeMode controls whether the bridge identifies itself as a bridge to servers of
	// this side, by the bridge flag: the high bit of the protocol level of MQTT 3.1.1,
	// which is not part of the standard. Mosquitto and other servers then do not send the
	// bridge its own messages, and they send retain flags as published, so that retain:
	// Keep applies to live messages, too. Auto sets the flag, and connects without it if a
	// server refuses it. "Off" never sets it; write it in quotes, because YAML reads Off
	// without quotes as a boolean. In MQTT 5, subscription options have both effects, and
	// the bridge always uses them. Some rules, such as home/# in both directions, would
	// forward a message in a loop if the bridge received its own messages. Such rules
	// require MQTT 5 or a server that supports the flag: "Off" is refused, and the bridge
	// does not use a server that refuses the flag. Default Auto.
	// +optional
	BridgeMode *BridgeMode `json:"bridgeMode,omitempty"`

	// credentials are the user name and password for all servers of this side that do not
	// have their own.
	// +optional
	Credentials *Credentials `json:"credentials,omitempty"`

	// tls holds the TLS settings for all servers of this side that do not have their own.
	// +optional
	TLS *TLS `json:"tls,omitempty"`

	// reconnect controls when changed credentials, client certificates, CA certificates and
	// other values of Secrets take effect for the server in use, if the contents of an object
	// change or the spec names another one. OnChange reconnects to the server within
	// seconds: the bridge stops publishing, waits up to 5 seconds until the messages in
	// flight are acknowledged, closes the connection and connects with the new values. If
	// they cannot be used, for example because the key does not match the certificate, the
	// bridge keeps the connection, and reports it in shortfalls. With Never, the new values
	// apply to the next connection, whatever its cause. In a pod, the new contents of an
	// object usually arrive within about a minute. Default Never.
	// +optional
	Reconnect *ReconnectPolicy `json:"reconnect,omitempty"`

	// proxy is the proxy for all servers of this side that do not have their own. If the
	// bridge must connect to some servers of the side without a proxy, leave this field out
	// and set proxy on each of the other servers. Default: no proxy.
	// +optional
	Proxy *Proxy `json:"proxy,omitempty"`

	// webSocket adds headers and a query to the HTTP request for all servers of this side
	// that have a ws:// or wss:// URL and no webSocket of their own.
	// +optional
	WebSocket *WebSocket `json:"webSocket,omitempty"`

	// failover controls when a server is treated as lost and how other servers are tried.
	// +optional
	Failover *Failover `json:"failover,omitempty"`

	// preferredServer requests the use of one server of this side, for example during the
	// maintenance of another server. While it is set, this server comes before all other
	// servers in the order of preference, also after a restart of the runner. If another
	// server is in use, the bridge probes this server and switches to it; requestedSwitch in
	// the status of the side reports the result. The running pod applies a change within
	// seconds. Default: no server is requested, and the order is the primary, then the
	// backups.
	// +optional
	PreferredServer *PreferredServer `json:"preferredServer,omitempty"`
}

// ReconnectPolicy controls when changed values of Secrets take effect for the server in use.
//
// +kubebuilder:validation:Enum=Never;OnChange
type ReconnectPolicy string

// The policies for changed values of Secrets.
const (
	ReconnectNever    ReconnectPolicy = "Never"
	ReconnectOnChange ReconnectPolicy = "OnChange"
)

// ProtocolVersion is a version of MQTT.
//
// +kubebuilder:validation:Enum="3.1.1";"5"
type ProtocolVersion string

// The versions of MQTT.
const (
	// ProtocolVersion311 is MQTT 3.1.1, OASIS standard of 29 October 2014.
	ProtocolVersion311 ProtocolVersion = "3.1.1"
	// ProtocolVersion5 is MQTT 5.0, OASIS standard of 7 March 2019.
	ProtocolVersion5 ProtocolVersion = "5"
)

// SessionExpiry is the time after which a server deletes a session: Never, or hours, minutes
// and seconds, as in 1h30m.
type SessionExpiry string

// SessionExpiryNever means that sessions do not expire.
const SessionExpiryNever SessionExpiry = "Never"

// Server is one MQTT server.
//
// +kubebuilder:validation:XValidation:rule="!has(self.webSocket) || self.url.matches('^wss?://')",fieldPath=".webSocket",reason=FieldValueInvalid,message="webSocket is set but the server's URL is not a WebSocket URL; write ws:// or wss:// in the URL or remove webSocket"
// +kubebuilder:validation:XValidation:rule="!has(self.tls) || self.url.matches('^(mqtts|ssl|tls|wss)://')",fieldPath=".tls",reason=FieldValueInvalid,message="tls is set but the server's URL is not a TLS URL; write mqtts:// or wss:// in the URL or remove tls"
type Server struct {
	// name identifies the server in status, events and metrics. Default: the host of the
	// URL, with the port if it is not the scheme's default. If two servers of the side
	// would have the same name, the port and, if necessary, the path are added.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",reason=FieldValueInvalid,message="a server's name must consist of lower case letters, digits and '-', and start and end with a letter or digit"
	Name string `json:"name,omitempty"`

	// url is the address of the server:
	// mqtt://host:1883 (tcp:// is the same),
	// mqtts://host:8883 (ssl:// and tls:// are the same) for TLS,
	// ws://host:80/path for WebSocket (MQTT 3.1.1 section 6), and
	// wss://host:443/path for WebSocket over TLS.
	// The port may be left out if it is the port shown here. A host may end with a dot,
	// which prevents the resolver from adding search domains. A link-local IPv6 address
	// includes its zone, as in [fe80::1%25eth0]. A path may have a query. The query is
	// masked in status, events and logs, but every user who can read the bridge can read
	// it here; put a secret into webSocket.queryFrom.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=300
	// +kubebuilder:validation:XValidation:rule="self.matches('^(mqtt|mqtts|tcp|ssl|tls|ws|wss)://')",reason=FieldValueInvalid,message="a server's URL must start with mqtt:// or tcp:// (plain), mqtts://, ssl:// or tls:// (TLS), ws:// (WebSocket) or wss:// (WebSocket over TLS)"
	// +kubebuilder:validation:XValidation:rule="!self.contains('@')",reason=FieldValueInvalid,message="a server's URL must not contain a user name or password; set credentials.username and credentials.password"
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z]*://([A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?[.]?|\\\\[[0-9a-fA-F:.]+(%(25)?[-.~_0-9A-Za-z]+)?\\\\])(:[0-9]{1,5})?/?$') || !self.matches('^(mqtt|mqtts|tcp|ssl|tls)://') || self.contains('@')",reason=FieldValueInvalid,message="a server's URL must be scheme://host or scheme://host:port, without path, query or spaces; write an IPv6 address in brackets, and an internationalized name in its ASCII form (xn--...)"
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z]*://([A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?[.]?|\\\\[[0-9a-fA-F:.]+(%(25)?[-.~_0-9A-Za-z]+)?\\\\])(:[0-9]{1,5})?(/([!$&-;=?A-Z_a-z~]|%[0-9A-Fa-f]{2})*)?$') || !self.matches('^wss?://') || self.contains('@')",reason=FieldValueInvalid,message="the URL of a WebSocket server must be scheme://host:port/path?query (port, path and query are optional); write an IPv6 address in brackets, an internationalized name in its ASCII form (xn--...), and characters that a URL cannot contain in percent encoding, such as %20"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[a-z]*://([^/:[]*|\\\\[[^/\\\\]]*\\\\]):[0-9]{1,5}(/|$)') || self.contains('@') || (int(self.find('^[a-z]*://([^/:[]*|\\\\[[^/\\\\]]*\\\\]):[0-9]{1,5}(/|$)').find(':[0-9]+/?$').find('[0-9]+')) >= 1 && int(self.find('^[a-z]*://([^/:[]*|\\\\[[^/\\\\]]*\\\\]):[0-9]{1,5}(/|$)').find(':[0-9]+/?$').find('[0-9]+')) <= 65535)",reason=FieldValueInvalid,message="the port of a server's URL must be a number from 1 to 65535"
	URL string `json:"url,omitempty"`

	// credentials replace the side's credentials.
	// +optional
	Credentials *Credentials `json:"credentials,omitempty"`

	// tls replaces the side's tls as a whole.
	// +optional
	TLS *TLS `json:"tls,omitempty"`

	// proxy replaces the side's proxy as a whole.
	// +optional
	Proxy *Proxy `json:"proxy,omitempty"`

	// webSocket replaces the side's webSocket as a whole.
	// +optional
	WebSocket *WebSocket `json:"webSocket,omitempty"`
}

// Proxy is a proxy that connects to servers and resolves their names.
//
// +kubebuilder:validation:XValidation:rule="!self.url.startsWith('socks5://') || !has(self.credentials) || has(self.credentials.username)",fieldPath=".credentials.username",reason=FieldValueRequired,message="SOCKS5 does not permit a login without a user name; set credentials.username, or remove credentials"
// +kubebuilder:validation:XValidation:rule="!self.url.startsWith('socks5://') || !has(self.credentials) || !has(self.credentials.username) || !has(self.credentials.username.value) || size(bytes(self.credentials.username.value)) <= 255",fieldPath=".credentials.username.value",reason=FieldValueInvalid,message="the user name for a SOCKS5 proxy must have at most 255 bytes; shorten it"
// +kubebuilder:validation:XValidation:rule="!self.url.startsWith('http://') || !has(self.credentials) || !has(self.credentials.username) || !has(self.credentials.username.value) || !self.credentials.username.value.contains(':')",fieldPath=".credentials.username.value",reason=FieldValueInvalid,message="the user name for an HTTP proxy must not contain a colon; use another user name"
type Proxy struct {
	// url is the URL of the proxy: socks5://host:port (RFC 1928), or http://host:port for a
	// proxy that supports CONNECT (RFC 9110 section 9.3.6). Both kinds of proxies work with
	// every scheme of server URL.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=300
	// +kubebuilder:validation:XValidation:rule="!self.contains('@')",reason=FieldValueInvalid,message="a proxy's URL must not contain a user name or password; set proxy.credentials.username and proxy.credentials.password"
	// +kubebuilder:validation:XValidation:rule="self.matches('^(socks5|http)://([A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?[.]?|\\\\[[0-9a-fA-F:.]+(%(25)?[-.~_0-9A-Za-z]+)?\\\\]):[0-9]{1,5}/?$') || self.contains('@')",reason=FieldValueInvalid,message="a proxy's URL must be socks5://host:port or http://host:port; write an IPv6 address in brackets, and an internationalized name in its ASCII form (xn--...)"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^(socks5|http)://([A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?[.]?|\\\\[[0-9a-fA-F:.]+(%(25)?[-.~_0-9A-Za-z]+)?\\\\]):[0-9]{1,5}/?$') || (int(self.find(':[0-9]+/?$').find('[0-9]+')) >= 1 && int(self.find(':[0-9]+/?$').find('[0-9]+')) <= 65535)",reason=FieldValueInvalid,message="the port of a proxy's URL must be a number from 1 to 65535"
	URL string `json:"url,omitempty"`

	// credentials are the user name and password for the proxy.
	// +optional
	Credentials *Credentials `json:"credentials,omitempty"`
}

// Credentials are a user name and a password.
//
// +kubebuilder:validation:XValidation:rule="has(self.username) || has(self.password)",fieldPath=".username",reason=FieldValueRequired,message="credentials need a user name, a password or both; set username or password, or remove credentials"
type Credentials struct {
	// username is the user name. Line breaks at the end of a Secret's value are ignored. It
	// is required with MQTT 3.1.1 and for a SOCKS5 proxy. Default: no user name; MQTT 5 and
	// HTTP proxies permit a password alone.
	// +optional
	Username *UsernameSource `json:"username,omitempty"`

	// password names the key of a Secret that holds the password; the key has the default
	// password. Line breaks at the end of the value are ignored. Default: no password.
	// +optional
	Password *SecretSource `json:"password,omitempty"`
}

// LocalReference names an object in the bridge's namespace.
type LocalReference struct {
	// name is the name of the object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",reason=FieldValueInvalid,message="name must be the name of a Kubernetes object: lower case letters, digits, '-' and '.', and a letter or digit at both ends"
	Name string `json:"name,omitempty"`
}

// TLS holds the TLS settings of a connection. A server's certificate is always
// verified.
//
// +kubebuilder:validation:XValidation:rule="has(self.certificate) == has(self.key)",fieldPath=".certificate",reason=FieldValueInvalid,message="a client certificate and its key belong together; set both certificate and key, or neither"
type TLS struct {
	// ca names the object that holds the PEM certificates of the trusted certificate
	// authorities. Default: the authorities that the runner's operating system trusts.
	// +optional
	CA *CASource `json:"ca,omitempty"`

	// certificate names the key of a Secret or ConfigMap that holds the client certificate
	// in PEM, with its chain; the key has the default tls.crt. It requires tls.key. Default:
	// no client certificate.
	// +optional
	Certificate *CertificateSource `json:"certificate,omitempty"`

	// key names the key of a Secret that holds the unencrypted private key of the client
	// certificate in PEM (PKCS #1, PKCS #8 or SEC 1); the key has the default tls.key. It
	// requires tls.certificate. Default: no client certificate.
	// +optional
	Key *SecretSource `json:"key,omitempty"`

	// serverName is the name that the server's certificate must contain, and that is sent
	// as SNI. Default: the host of the server's URL.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?[.]?$')",reason=FieldValueInvalid,message="serverName must be a host name such as broker.example, without scheme or port"
	ServerName string `json:"serverName,omitempty"`

	// alpn lists the protocol names that are offered to the server (RFC 7301), in order of
	// preference. AWS IoT Core identifies MQTT on port 443 by the protocol name
	// x-amzn-mqtt-ca. Default: none.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=255
	ALPN []string `json:"alpn,omitempty"`
}

// Rule selects messages and sets how they are published on the destination.
//
// +kubebuilder:validation:XValidation:rule="!has(self.topic) || [self.filter.findAll('[+#]').size()].all(n, self.topic.findAll('[$][{][0-9]+[}]').all(c, int(c.find('[0-9]+')) <= n))",fieldPath=".topic",reason=FieldValueInvalid,message="topic has a placeholder with a number that is higher than the number of wildcards in the filter; ${1} is the text that the filter's first + or # matches, ${2} the second, and so on"
type Rule struct {
	// filter is the topic filter that the bridge subscribes to on the source (MQTT 3.1.1
	// section 4.7). A filter that begins with $exclusive/ is an exclusive subscription,
	// which EMQX and others grant to one client at a time: it matches the same topics as
	// the filter without this prefix. Other prefixes with a special meaning, such as
	// $share/group/, are refused.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^(([^+#/]*|[+])/)*([^+#/]*|[+]|#)$')",reason=FieldValueInvalid,message="in a topic filter + and # must each be a whole level between slashes, and # must be the last level, as in a/+/b/#"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^([$]exclusive/)?[$](share|oshare|SharedSubscription|queue|q)/')",reason=FieldValueInvalid,message="shared subscriptions are not supported: the server distributes the messages to several clients, in no order, but the bridge is a single client; write the filter without $share/group/, $oshare/group/, $SharedSubscription/name/, $queue/ or $q/"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^([$]exclusive/[$]exclusive|([$]exclusive/)?[$](delayed|fastlane|limit|local|noexport|stream))/')",reason=FieldValueInvalid,message="servers remove the prefix $delayed/, $fastlane/, $limit/, $local/, $noexport/ or $stream/, so no message has a topic that the filter matches; write the filter without the prefix"
	// +kubebuilder:validation:XValidation:rule="self != '$exclusive/'",reason=FieldValueInvalid,message="$exclusive/ must be followed by a topic filter, as in $exclusive/a/#"
	Filter string `json:"filter,omitempty"`

	// name identifies the rule in metrics and messages. It must differ from the names of the
	// direction's other rules. Default: the filter.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Name string `json:"name,omitempty"`

	// topic is the topic under which messages are published on the destination: text with
	// placeholders. ${topic} stands for the topic on the source; ${1}, ${2} and so on stand
	// for the text that the filter's first, second and so on + or # matched. If # matched
	// nothing, the slash before its placeholder is also removed. Topics that begin with $
	// belong to the servers: a message is dropped if only a placeholder makes its topic
	// begin with $. For example, with the filter up/# and the topic ${1}, a message on
	// up/$SYS/x is dropped. Default ${topic}.
	// +optional
	// +default="${topic}"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="!self.matches('[+#]')",reason=FieldValueInvalid,message="the topic of a rule must not contain the wildcards + or #; use ${1}, ${2} for the text that the filter's wildcards match"
	// +kubebuilder:validation:XValidation:rule="self.matches('[+#]') || !self.matches('[$]([0-9]|topic)')",reason=FieldValueInvalid,message="a placeholder needs braces: write ${1} instead of $1, and ${topic} instead of $topic"
	// +kubebuilder:validation:XValidation:rule="self.matches('[+#]') || self.matches('^([$][{](topic|[1-9][0-9]?)[}]|[$]?[^${}])+$')",reason=FieldValueInvalid,message="the placeholders of a topic are ${topic}, ${1}, ${2} and so on; the topic must not contain { or } elsewhere, or a $ before another $ or at its end"
	Topic string `json:"topic,omitempty"`

	// qos is the highest QoS for these messages: 0, 1 or 2. Messages with a lower QoS keep
	// it. Default 1.
	// +optional
	// +kubebuilder:validation:Enum=0;1;2
	QoS *int32 `json:"qos,omitempty"`

	// retain controls the retain flag of the published message. Keep leaves it as received:
	// MQTT 5 servers, and MQTT 3.1.1 servers that support the bridge flag (bridgeMode),
	// send it as it was published; other MQTT 3.1.1 servers set it only on messages that
	// they had stored, not on live messages (section 3.3.1.3). Clear removes it. Set sets
	// it. Default Keep.
	// +optional
	Retain *RetainPolicy `json:"retain,omitempty"`

	// retainHandling controls when the source server sends the retained messages that the
	// filter matches (MQTT 5 section 3.8.3.1): Send each time that the bridge subscribes;
	// SendIfNew if the session does not have the subscription yet; DoNotSend never, so that
	// the rule receives live messages only. If several rules have the same filter, the
	// value that requests the most messages applies. It requires MQTT 5 on the source; MQTT
	// 3.1.1 servers send retained messages each time that the bridge subscribes. Default
	// SendIfNew.
	// +optional
	RetainHandling *RetainHandling `json:"retainHandling,omitempty"`

	// userProperties are added to each message, after the user properties that it already
	// has (MQTT 5 section 3.3.2.3.7). They require MQTT 5 on the destination.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	UserProperties []UserProperty `json:"userProperties,omitempty"`

	// exclude lists topic filters: the rule does not forward a message whose topic on the
	// source matches one of them. Other rules may still forward this message.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.all(f, f.matches('^(([^+#/]*|[+])/)*([^+#/]*|[+]|#)$'))",reason=FieldValueInvalid,message="in a topic filter + and # must each be a whole level between slashes, and # must be the last level, as in a/+/b/#"
	// +kubebuilder:validation:XValidation:rule="self.all(f, !f.startsWith('$SharedSubscription/') && !f.matches('^[$](share|oshare|queue|q|delayed|fastlane|limit|local|noexport|stream|exclusive)/'))",reason=FieldValueInvalid,message="exclude is compared with the topics of messages, which never begin with a prefix of subscriptions, such as $share/group/ or $exclusive/; write the filter without the prefix"
	Exclude []string `json:"exclude,omitempty"`
}

// RetainPolicy controls the retain flag of published messages.
//
// +kubebuilder:validation:Enum=Keep;Clear;Set
type RetainPolicy string

// The policies for the retain flag.
const (
	RetainKeep  RetainPolicy = "Keep"
	RetainClear RetainPolicy = "Clear"
	RetainSet   RetainPolicy = "Set"
)

// Delivery controls how messages are delivered to their destination.
type Delivery struct {
	// inflightWindow is the largest number, from 1 to 65535, of QoS 1 and 2 messages of one
	// direction that are in flight: published and not yet acknowledged. A larger window is
	// faster on connections with a long round-trip time; after a failover, up to this
	// number of messages is sent again. A server of MQTT 3.1.1 cannot announce how many
	// QoS 2 messages it accepts: Mosquitto accepts 20 by default (max_inflight_messages),
	// and acknowledges and drops all others. A value of this field applies to these
	// messages, too, so set it to at most the limit of the server. With MQTT 5, the bridge
	// respects the announced limit. It also permits each server to send up to 16 times this
	// number of messages before the bridge acknowledges them (the receive maximum, MQTT 5
	// section 3.1.2.11.3); most servers have a lower limit of their own. Default 256, and
	// with MQTT 3.1.1 at most 20 of them at QoS 2.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	InflightWindow *int32 `json:"inflightWindow,omitempty"`

	// unforwardable controls what happens to a message that no server of the destination
	// accepts: each server refuses it, or ends the session when it receives this message.
	// Default: the message is dropped.
	// +optional
	Unforwardable *Unforwardable `json:"unforwardable,omitempty"`

	// maxHops ends loops through several bridges: each forwarded message carries the user
	// property mqttbridge-hops with the received count plus 1, and a message whose count
	// would exceed maxHops, from 1 to 255, is dropped. It requires MQTT 5 on both sides.
	// Default: no count and no limit.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=255
	MaxHops *int32 `json:"maxHops,omitempty"`
}
