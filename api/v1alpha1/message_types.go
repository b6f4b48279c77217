// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// HopsProperty is the name of the user property in which bridges count the hops of a
// message (delivery.maxHops).
const HopsProperty = "mqttbridge-hops"

// UserProperty is a user property of MQTT 5 (section 3.3.2.3.7).
type UserProperty struct {
	// name is the name of the property. Several properties may have the same name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="!self.matches('[[:cntrl:]]')",reason=FieldValueInvalid,message="a user property must not contain control characters, because a server may end the connection when it receives them; remove them"
	// +kubebuilder:validation:XValidation:rule="self != 'mqttbridge-hops'",reason=FieldValueInvalid,message="mqttbridge-hops is reserved for delivery.maxHops; choose another name"
	Name string `json:"name,omitempty"`

	// value is the value of the property. Default: empty.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="!self.matches('[[:cntrl:]]')",reason=FieldValueInvalid,message="a user property must not contain control characters, because a server may end the connection when it receives them; remove them"
	Value string `json:"value,omitempty"`
}

// RetainHandling controls when a server sends the retained messages that a filter matches,
// in the terms of MQTT 5 (section 3.8.3.1).
//
// +kubebuilder:validation:Enum=Send;SendIfNew;DoNotSend
type RetainHandling string

// The values of RetainHandling.
const (
	// RetainHandlingSend requests retained messages each time that the bridge subscribes.
	RetainHandlingSend RetainHandling = "Send"
	// RetainHandlingSendIfNew requests retained messages if the server's session does not
	// have the subscription yet.
	RetainHandlingSendIfNew RetainHandling = "SendIfNew"
	// RetainHandlingDoNotSend never requests retained messages: the rule receives live
	// messages only.
	RetainHandlingDoNotSend RetainHandling = "DoNotSend"
)

// BridgeMode controls whether the bridge identifies itself as a bridge to servers of MQTT
// 3.1.1.
//
// +kubebuilder:validation:Enum=Auto;Off
type BridgeMode string

// The values of BridgeMode.
const (
	BridgeModeAuto BridgeMode = "Auto"
	BridgeModeOff  BridgeMode = "Off"
)

// Notifications report to the clients of both sides whether the bridge forwards.
type Notifications struct {
	// topic is the topic of the retained message 1 or 0, on both sides. No other bridge may
	// use it: two bridges with the same topic would overwrite each other's state. Rules do
	// not forward messages of this topic.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="!self.matches('[+#[:cntrl:]]')",reason=FieldValueInvalid,message="the topic of notifications must not contain the wildcards + or #, or control characters; choose a topic such as bridges/plant1/state"
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('$')",reason=FieldValueInvalid,message="topics that start with $ belong to the servers, and clients cannot publish to them; choose another topic, such as bridges/plant1/state"
	Topic string `json:"topic,omitempty"`

	// qos is the QoS of the notifications: 0 or 1. Default 1.
	// +optional
	// +kubebuilder:validation:Enum=0;1
	QoS *int32 `json:"qos,omitempty"`
}
