// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Unforwardable says what happens to messages that no server of the side that they go
// to takes. Each such message is counted, logged and in the status.
//
// +kubebuilder:validation:XValidation:rule="!has(self.deadLetter) || !has(self.policy) || self.policy != 'Block'",fieldPath=".deadLetter",reason=FieldValueInvalid,message="with policy Block a message that no server takes is kept, and there are no dead letters; set policy to Drop or remove deadLetter"
type Unforwardable struct {
	// policy is Drop or Block. Drop acknowledges the message to the server that it came
	// from, and sends the messages behind it. Block keeps the message, and with it all
	// messages behind it in this direction, and tries it again every 30 seconds.
	// Default Drop.
	// +optional
	Policy *UnforwardablePolicy `json:"policy,omitempty"`

	// deadLetter publishes the messages that are dropped on the side that they came
	// from. Default: it does not.
	// +optional
	DeadLetter *DeadLetter `json:"deadLetter,omitempty"`
}

// UnforwardablePolicy says whether a message that no server takes is dropped.
//
// +kubebuilder:validation:Enum=Drop;Block
type UnforwardablePolicy string

// What can happen to a message that no server takes.
const (
	// UnforwardableDrop acknowledges the message to its source and goes on.
	UnforwardableDrop UnforwardablePolicy = "Drop"
	// UnforwardableBlock keeps the message and all messages behind it.
	UnforwardableBlock UnforwardablePolicy = "Block"
)

// DeadLetter is where messages that no server takes are published.
type DeadLetter struct {
	// topic under which such a message is published, at QoS 1, on the side that it came
	// from. It is the same for all: it holds no ${topic} or ${1}.
	// The message is acknowledged to its source after that. With MQTT 5 the user
	// properties mqttbridge-topic, mqttbridge-qos and mqttbridge-reason hold the topic and
	// QoS with which it was sent to the other side, and why no server takes it. No filter of a rule may
	// match this topic, because dead letters would be forwarded.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="!self.matches('[+#[:cntrl:]]')",reason=FieldValueInvalid,message="the topic of dead letters has no wildcards + or # and no control characters, as in bridges/plant1/dead"
	// +kubebuilder:validation:XValidation:rule="!self.contains('${')",reason=FieldValueInvalid,message="the topic of dead letters is the same for all, and nothing is put in place of ${topic} and ${1}; write one without them, as in bridges/plant1/dead"
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('$') || self.contains('${')",reason=FieldValueInvalid,message="topics that start with $ are the servers' own, which clients cannot publish to; choose another one, as in bridges/plant1/dead"
	Topic string `json:"topic,omitempty"`
}
