// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Unforwardable controls what happens to messages that no server of the destination
// accepts. The runner counts and logs each of them, and reports the latest in the status.
//
// +kubebuilder:validation:XValidation:rule="!has(self.deadLetter) || !has(self.policy) || self.policy != 'Block'",fieldPath=".deadLetter",reason=FieldValueInvalid,message="with policy Block the bridge keeps an unforwardable message and publishes no dead letters; set policy to Drop or remove deadLetter"
type Unforwardable struct {
	// policy is Drop or Block. Drop acknowledges the message to the source server and
	// continues with the next messages. Block keeps the message and tries it again every 30
	// seconds; all later messages of this direction wait. Default Drop.
	// +optional
	Policy *UnforwardablePolicy `json:"policy,omitempty"`

	// deadLetter publishes on the source side each message that policy Drop drops, but no
	// message that the bridge drops for another cause, such as expiry. Default: no dead
	// letters.
	// +optional
	DeadLetter *DeadLetter `json:"deadLetter,omitempty"`
}

// UnforwardablePolicy controls whether a message that no server accepts is dropped.
//
// +kubebuilder:validation:Enum=Drop;Block
type UnforwardablePolicy string

// The policies for messages that no server accepts.
const (
	// UnforwardableDrop acknowledges the message to its source and continues with the next
	// message.
	UnforwardableDrop UnforwardablePolicy = "Drop"
	// UnforwardableBlock keeps the message and all messages behind it.
	UnforwardableBlock UnforwardablePolicy = "Block"
)

// DeadLetter controls how messages that no server accepts are published on the source side.
type DeadLetter struct {
	// topic is the topic under which such a message is published on the source side, at QoS
	// 1. It is the same for all messages and contains no placeholders such as ${topic} or
	// ${1}. The bridge acknowledges the message to its source after it has published the
	// dead letter. With MQTT 5 the user properties mqttbridge-topic, mqttbridge-qos and
	// mqttbridge-reason hold the topic and QoS with which the message was sent to the
	// destination, and the reason why no server accepts it. No filter of a rule may match
	// this topic unless the rule excludes it, because the bridge would then forward the
	// dead letters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="!self.matches('[+#[:cntrl:]]')",reason=FieldValueInvalid,message="the topic of dead letters must not contain the wildcards + or #, or control characters; choose a topic such as bridges/plant1/dead"
	// +kubebuilder:validation:XValidation:rule="!self.contains('${')",reason=FieldValueInvalid,message="all dead letters have the same topic, and placeholders such as ${topic} and ${1} are not replaced in it; choose a topic without them, such as bridges/plant1/dead"
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('$') || self.contains('${')",reason=FieldValueInvalid,message="topics that start with $ belong to the servers, and clients cannot publish to them; choose another topic, such as bridges/plant1/dead"
	Topic string `json:"topic,omitempty"`
}
