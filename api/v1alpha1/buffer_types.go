// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// QoS0WhenDown controls what happens to QoS 0 messages while no server of their destination
// is connected.
//
// +kubebuilder:validation:Enum=Drop;Buffer
type QoS0WhenDown string

// The policies for QoS 0 messages while the destination is down.
const (
	// QoS0WhenDownDrop drops and counts the messages.
	QoS0WhenDownDrop QoS0WhenDown = "Drop"
	// QoS0WhenDownBuffer keeps the messages in the buffer.
	QoS0WhenDownBuffer QoS0WhenDown = "Buffer"
)

// Buffer configures the place for messages that the destination cannot accept at once.
type Buffer struct {
	// memory limits the messages that the runner holds in its memory.
	// +optional
	Memory *MemoryBuffer `json:"memory,omitempty"`

	// disk keeps a backlog on a volume, for sources that cannot keep it themselves.
	// Default: no disk; the source server keeps the messages that are not acknowledged.
	// +optional
	Disk *DiskBuffer `json:"disk,omitempty"`

	// qos0WhenDown controls what happens to QoS 0 messages while no server of their
	// destination is connected: Drop drops them; Buffer keeps them on buffer.disk if it is
	// set, otherwise in memory up to buffer.memory.size. Default Drop.
	// +optional
	QoS0WhenDown *QoS0WhenDown `json:"qos0WhenDown,omitempty"`

	// drain limits the rate at which a backlog leaves the buffer, separately in each
	// direction, so that it does not flood a server that has recovered. Live messages queue
	// behind the backlog. Default: no limit.
	// +optional
	Drain *Drain `json:"drain,omitempty"`
}

// MemoryBuffer limits the messages that the runner holds in memory.
type MemoryBuffer struct {
	// size limits the messages of one direction that the runner holds in memory, from 64Ki
	// to 4Gi. The limit applies separately to QoS 0 messages that wait, and to QoS 1 and 2
	// messages that are not acknowledged. QoS 0 messages above the limit are dropped: the
	// newest, or, with buffer.qos0WhenDown: Buffer and the destination down, the oldest.
	// QoS 1 and 2 messages above the limit stay with the source server: when half of the
	// size is free, the runner reconnects, and the server sends them again; with
	// cleanSession: true they are dropped. One message of any size always fits. For each
	// direction, a pod needs up to five times this size in addition to its memory use
	// without messages. Default 8Mi.
	// +optional
	// +kubebuilder:validation:XValidation:rule="string(self).size() <= 64 && !string(self).matches('[eE][+-]?[0-9.]{3}') && (!isQuantity(string(self)) || (quantity(string(self)).compareTo(quantity('64Ki')) >= 0 && quantity(string(self)).compareTo(quantity('4Gi')) <= 0))",reason=FieldValueInvalid,message="the size of the buffer in memory must be from 64Ki to 4Gi, as in 32Mi"
	Size *resource.Quantity `json:"size,omitempty"`
}

// DiskBuffer keeps a backlog on a volume. In a cluster, the operator creates the claim of the
// volume, called NAME-bridge, unless existingClaim names another one.
//
// +kubebuilder:validation:XValidation:rule="!has(self.existingClaim) || !(has(self.storageClassName) || has(self.accessModes) || has(self.retainPolicy))",fieldPath=".existingClaim",reason=FieldValueInvalid,message="existingClaim names a claim of your own, which the operator neither creates nor deletes; remove storageClassName, accessModes and retainPolicy, or remove existingClaim"
type DiskBuffer struct {
	// size is the size of the volume, or the part of the volume of existingClaim that the
	// bridge may use, from 16Mi to 16Ti. Nine tenths of it hold the backlog, and the rest is
	// for the file system. Directions that have rules share the space evenly. It can be
	// raised later if the StorageClass allows volume expansion, but not lowered.
	// +required
	// +kubebuilder:validation:XValidation:rule="string(self).size() <= 64 && !string(self).matches('[eE][+-]?[0-9.]{3}') && (!isQuantity(string(self)) || (quantity(string(self)).compareTo(quantity('16Mi')) >= 0 && quantity(string(self)).compareTo(quantity('16Ti')) <= 0))",reason=FieldValueInvalid,message="the size of the buffer on disk must be from 16Mi to 16Ti, as in 10Gi"
	Size *resource.Quantity `json:"size,omitempty"`

	// storageClassName is the name of the volume's StorageClass. Default: the cluster's
	// default class. It applies when the volume is created: a later change is refused
	// unless the bridge's PersistentVolumeClaim is deleted first. It has no effect if the
	// runner runs outside a cluster.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",reason=FieldValueInvalid,message="storageClassName must be the name of a StorageClass: lower case letters, digits, '-' and '.', and a letter or digit at both ends"
	StorageClassName string `json:"storageClassName,omitempty"`

	// accessModes are the access modes of the claim. With ReadWriteOncePod, which requires a
	// CSI driver, the cluster ensures that a single pod uses the volume. Default:
	// ReadWriteOnce. They have no effect if the runner runs outside a cluster.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=3
	// +kubebuilder:validation:items:Enum=ReadWriteOnce;ReadWriteOncePod;ReadWriteMany
	// +kubebuilder:validation:XValidation:rule="size(self) == 1 || !self.exists(m, m == 'ReadWriteOncePod')",reason=FieldValueInvalid,message="ReadWriteOncePod must be the only access mode; remove it or the others"
	AccessModes []corev1.PersistentVolumeAccessMode `json:"accessModes,omitempty"`

	// retainPolicy controls what happens to the claim when the bridge is deleted. Retain
	// keeps it, with the messages on it: a bridge that is later created with the same name
	// uses it again and sends them. Delete deletes it, and the messages are lost. If
	// only buffer.disk is removed, both keep the claim; Delete then deletes it with the
	// bridge. Default Retain.
	// +optional
	RetainPolicy *ClaimRetainPolicy `json:"retainPolicy,omitempty"`

	// existingClaim is the name of a PersistentVolumeClaim in the bridge's namespace that
	// the bridge uses, in a directory with the bridge's name. The operator then creates no
	// claim, and never deletes this one. Default: the operator creates a claim.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",reason=FieldValueInvalid,message="existingClaim must be the name of a PersistentVolumeClaim: lower case letters, digits, '-' and '.'"
	ExistingClaim string `json:"existingClaim,omitempty"`

	// whenFull controls what happens to messages when the backlog has reached its size, or
	// the disk is full. With Block, the bridge acknowledges no more messages, so that the
	// source server keeps them, as without a disk; QoS 0 messages wait in memory up to
	// memory.size, and further ones are dropped. DropOldest drops the oldest messages of
	// the backlog, and DropNewest drops the new messages; both also drop QoS 1 and 2
	// messages, and count the dropped messages. Default Block.
	// +optional
	WhenFull *WhenFull `json:"whenFull,omitempty"`

	// messageTTLSeconds is the time in seconds, from 1 to 31536000 (one year), that a
	// message may wait on the disk. An older message is dropped and counted. The message's
	// own expiry interval (MQTT 5 section 3.3.2.3.3) also applies if it is shorter. Both
	// times also count while the runner is not running. Default: no limit.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=31536000
	MessageTTLSeconds *int32 `json:"messageTTLSeconds,omitempty"`
}

// ClaimRetainPolicy controls what happens to the claim of a buffer on disk when its bridge
// is deleted.
//
// +kubebuilder:validation:Enum=Delete;Retain
type ClaimRetainPolicy string

// The policies for the claim of a deleted bridge.
const (
	// ClaimDelete deletes the claim and the messages on its volume.
	ClaimDelete ClaimRetainPolicy = "Delete"
	// ClaimRetain keeps the claim for a later bridge of the same name.
	ClaimRetain ClaimRetainPolicy = "Retain"
)

// WhenFull is the policy for messages when the buffer is full.
//
// +kubebuilder:validation:Enum=Block;DropOldest;DropNewest
type WhenFull string

// The policies for messages when the buffer is full.
const (
	// WhenFullBlock acknowledges no more messages.
	WhenFullBlock WhenFull = "Block"
	// WhenFullDropOldest drops the oldest messages of the backlog to make room.
	WhenFullDropOldest WhenFull = "DropOldest"
	// WhenFullDropNewest drops the new messages.
	WhenFullDropNewest WhenFull = "DropNewest"
)

// Drain limits the rate at which a backlog leaves the buffer, in each direction.
//
// +kubebuilder:validation:XValidation:rule="has(self.messagesPerSecond) || has(self.bytesPerSecond)",fieldPath=".messagesPerSecond",reason=FieldValueRequired,message="drain needs a limit: set messagesPerSecond, bytesPerSecond or both, or remove drain"
type Drain struct {
	// messagesPerSecond is the largest number of messages per second, from 1 to 1000000,
	// that leave the backlog of one direction. Default: no limit.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	MessagesPerSecond *int32 `json:"messagesPerSecond,omitempty"`

	// bytesPerSecond is the largest number of bytes of topics and payloads per second, from
	// 1Ki to 16Gi, that leave the backlog of one direction. A message that is larger than
	// this limit is sent whole, and the next messages wait longer, so that the average rate
	// stays within the limit. Default: no limit.
	// +optional
	// +kubebuilder:validation:XValidation:rule="string(self).size() <= 64 && !string(self).matches('[eE][+-]?[0-9.]{3}') && (!isQuantity(string(self)) || (quantity(string(self)).compareTo(quantity('1Ki')) >= 0 && quantity(string(self)).compareTo(quantity('16Gi')) <= 0))",reason=FieldValueInvalid,message="bytesPerSecond must be from 1Ki to 16Gi, as in 1Mi"
	BytesPerSecond *resource.Quantity `json:"bytesPerSecond,omitempty"`
}
