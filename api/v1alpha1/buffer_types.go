// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import "k8s.io/apimachinery/pkg/api/resource"

// QoS0WhenDown says what becomes of QoS 0 messages while no server is connected on the
// side that they go to.
//
// +kubebuilder:validation:Enum=Drop;Buffer
type QoS0WhenDown string

// What can become of QoS 0 messages while the destination is down.
const (
	// QoS0WhenDownDrop drops and counts them.
	QoS0WhenDownDrop QoS0WhenDown = "Drop"
	// QoS0WhenDownBuffer keeps them in the buffer.
	QoS0WhenDownBuffer QoS0WhenDown = "Buffer"
)

// Buffer holds messages that the other side does not take at once.
type Buffer struct {
	// memory bounds the messages that the runner holds in its memory.
	// +optional
	Memory *MemoryBuffer `json:"memory,omitempty"`

	// disk keeps a backlog on a volume, for sources that cannot hold it themselves.
	// Default: none; the server that messages come from holds what is not
	// acknowledged.
	// +optional
	Disk *DiskBuffer `json:"disk,omitempty"`

	// drain limits how fast a backlog leaves the buffer, so that a server that has
	// recovered is not flooded. Live messages queue behind it. Default: no limit.
	// +optional
	Drain *Drain `json:"drain,omitempty"`
}

// MemoryBuffer bounds the messages that are held in memory.
type MemoryBuffer struct {
	// size bounds the messages of one direction that are held in memory, from 64Ki to
	// 4Gi. It counts apart for the QoS 0 messages that wait, and for the QoS 1 and 2
	// messages that are not acknowledged. QoS 0 messages above it are dropped: the
	// newest, or with delivery.qos0WhenDown: Buffer and the other side down the oldest.
	// QoS 1 and 2 messages above it stay with their server, which sends them again when
	// half of the size is free; with cleanSession: true they are dropped. One message
	// always fits. A pod needs up to five times as much for each direction above its
	// need without messages. Default 8Mi.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!isQuantity(string(self)) || (quantity(string(self)).compareTo(quantity('64Ki')) >= 0 && quantity(string(self)).compareTo(quantity('4Gi')) <= 0)",reason=FieldValueInvalid,message="the size of the buffer in memory is from 64Ki to 4Gi, as in 32Mi"
	Size *resource.Quantity `json:"size,omitempty"`
}

// DiskBuffer keeps a backlog on a volume.
type DiskBuffer struct {
	// size of the volume, from 16Mi to 16Ti. Nine tenths of it hold the backlog, the
	// rest is for the file system; directions that have rules share it evenly.
	// +required
	// +kubebuilder:validation:XValidation:rule="!isQuantity(string(self)) || (quantity(string(self)).compareTo(quantity('16Mi')) >= 0 && quantity(string(self)).compareTo(quantity('16Ti')) <= 0)",reason=FieldValueInvalid,message="the size of the buffer on disk is from 16Mi to 16Ti, as in 10Gi"
	Size *resource.Quantity `json:"size,omitempty"`

	// storageClassName is the class of the volume. Default: the cluster's default
	// class. Outside of a cluster it has no meaning.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",reason=FieldValueInvalid,message="storageClassName must be the name of a StorageClass: lower case letters, digits, '-' and '.'"
	StorageClassName string `json:"storageClassName,omitempty"`

	// whenFull says what happens when the backlog has reached its size. Block
	// acknowledges nothing more, so that the server that messages come from holds
	// them, as without a disk; QoS 0 messages wait in memory up to memory.size, and
	// are dropped then. DropOldest and DropNewest drop, and count, what they say;
	// QoS 1 and 2 messages, too. Default Block.
	// +optional
	WhenFull *WhenFull `json:"whenFull,omitempty"`

	// messageTTLSeconds is how long a message may wait on the disk, in seconds; one
	// that is older is dropped and counted. A message expiry interval of its own
	// (MQTT 5 section 3.3.2.3.3) that is shorter holds, too; both go on while the
	// runner does not run. Default: without end.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=31536000
	MessageTTLSeconds *int32 `json:"messageTTLSeconds,omitempty"`
}

// WhenFull says what happens to messages when the buffer is full.
//
// +kubebuilder:validation:Enum=Block;DropOldest;DropNewest
type WhenFull string

// What can happen to messages when the buffer is full.
const (
	// WhenFullBlock acknowledges nothing more.
	WhenFullBlock WhenFull = "Block"
	// WhenFullDropOldest drops the oldest of the backlog to make room.
	WhenFullDropOldest WhenFull = "DropOldest"
	// WhenFullDropNewest drops what comes.
	WhenFullDropNewest WhenFull = "DropNewest"
)

// Drain limits how fast a backlog leaves the buffer, in each direction.
//
// +kubebuilder:validation:XValidation:rule="has(self.messagesPerSecond) || has(self.bytesPerSecond)",fieldPath=".messagesPerSecond",reason=FieldValueRequired,message="drain needs a limit: set messagesPerSecond, bytesPerSecond or both, or remove drain"
type Drain struct {
	// messagesPerSecond is how many messages a second leave the backlog. Default: no
	// limit.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	MessagesPerSecond *int32 `json:"messagesPerSecond,omitempty"`

	// bytesPerSecond is how many bytes of topics and payloads a second leave the
	// backlog, from 1Ki to 16Gi. A message that is larger goes alone, and the next
	// ones wait accordingly. Default: no limit.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!isQuantity(string(self)) || (quantity(string(self)).compareTo(quantity('1Ki')) >= 0 && quantity(string(self)).compareTo(quantity('16Gi')) <= 0)",reason=FieldValueInvalid,message="bytesPerSecond is from 1Ki to 16Gi, as in 1Mi"
	BytesPerSecond *resource.Quantity `json:"bytesPerSecond,omitempty"`
}
