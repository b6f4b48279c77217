// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

const (
	// maxTTL is the longest message TTL: one year, in seconds.
	maxTTL = 31_536_000

	maxAccessModes = 3
)

func validateBuffer(s *v1alpha1.MQTTBridgeSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if s.Buffer == nil {
		return nil
	}
	buffer := path.Child("buffer")
	if m := s.Buffer.Memory; m != nil {
		errs = append(errs, quantityInRange(buffer.Child("memory", "size"), m.Size, "64Ki", "4Gi", "the size of the buffer in memory must be from 64Ki to 4Gi, as in 32Mi")...)
	}
	if q := s.Buffer.QoS0WhenDown; q != nil {
		errs = append(errs, oneOf(buffer.Child("qos0WhenDown"), *q, v1alpha1.QoS0WhenDownDrop, v1alpha1.QoS0WhenDownBuffer)...)
	}
	if d := s.Buffer.Disk; d != nil {
		errs = append(errs, validateDisk(d, buffer.Child("disk"))...)
	}
	if d := s.Buffer.Drain; d != nil {
		drain := buffer.Child("drain")
		if s.Buffer.Disk == nil && ptr.Deref(s.Buffer.QoS0WhenDown, v1alpha1.QoS0WhenDownDrop) != v1alpha1.QoS0WhenDownBuffer {
			errs = append(errs, field.Invalid(drain, "drain", "drain limits the rate at which messages leave the buffer, but no buffer is configured; set buffer.disk or buffer.qos0WhenDown: Buffer, or remove drain"))
		}
		if d.MessagesPerSecond == nil && d.BytesPerSecond == nil {
			errs = append(errs, field.Required(drain.Child("messagesPerSecond"), "drain needs a limit: set messagesPerSecond, bytesPerSecond or both, or remove drain"))
		}
		errs = append(errs, inRange(drain.Child("messagesPerSecond"), d.MessagesPerSecond, 1, 1_000_000)...)
		errs = append(errs, quantityInRange(drain.Child("bytesPerSecond"), d.BytesPerSecond, "1Ki", "16Gi", "bytesPerSecond must be from 1Ki to 16Gi, as in 1Mi")...)
	}
	return errs
}

func validateDisk(d *v1alpha1.DiskBuffer, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if d.Size == nil {
		errs = append(errs, field.Required(path.Child("size"), "the buffer on disk needs a size; set size, for example to 10Gi"))
	}
	errs = append(errs, quantityInRange(path.Child("size"), d.Size, "16Mi", "16Ti", "the size of the buffer on disk must be from 16Mi to 16Ti, as in 10Gi")...)
	if c := d.StorageClassName; c != "" && (len(c) > maxReference || !objectName.MatchString(c)) {
		errs = append(errs, field.Invalid(path.Child("storageClassName"), c, "storageClassName must be the name of a StorageClass: lower case letters, digits, '-' and '.', and a letter or digit at both ends"))
	}
	errs = append(errs, validateClaim(d, path)...)
	if d.WhenFull != nil {
		errs = append(errs, oneOf(path.Child("whenFull"), *d.WhenFull, v1alpha1.WhenFullBlock, v1alpha1.WhenFullDropOldest, v1alpha1.WhenFullDropNewest)...)
	}
	return append(errs, inRange(path.Child("messageTTLSeconds"), d.MessageTTLSeconds, 1, maxTTL)...)
}

// validateClaim checks the fields that control the claim of the volume.
func validateClaim(d *v1alpha1.DiskBuffer, path *field.Path) field.ErrorList {
	modes := path.Child("accessModes")
	errs := tooMany(modes, len(d.AccessModes), maxAccessModes)
	for i, mode := range d.AccessModes {
		errs = append(errs, oneOf(modes.Index(i), mode, corev1.ReadWriteOnce, corev1.ReadWriteOncePod, corev1.ReadWriteMany)...)
	}
	if len(d.AccessModes) > 1 && slices.Contains(d.AccessModes, corev1.ReadWriteOncePod) {
		errs = append(errs, field.Invalid(modes, d.AccessModes, "ReadWriteOncePod must be the only access mode; remove it or the others"))
	}
	if d.RetainPolicy != nil {
		errs = append(errs, oneOf(path.Child("retainPolicy"), *d.RetainPolicy, v1alpha1.ClaimDelete, v1alpha1.ClaimRetain)...)
	}
	existing := path.Child("existingClaim")
	switch c := d.ExistingClaim; {
	case c == "":
	case len(c) > maxReference || !objectName.MatchString(c):
		errs = append(errs, field.Invalid(existing, c, "existingClaim must be the name of a PersistentVolumeClaim: lower case letters, digits, '-' and '.'"))
	case d.StorageClassName != "" || len(d.AccessModes) > 0 || d.RetainPolicy != nil:
		errs = append(errs, field.Invalid(existing, c, "existingClaim names a claim of your own, which the operator neither creates nor deletes; remove storageClassName, accessModes and retainPolicy, or remove existingClaim"))
	}
	return errs
}

// validateOwnClaim refuses the name of the claim that the operator creates for the bridge as
// the name of an existing claim: the operator uses it in another way.
func validateOwnClaim(b *v1alpha1.MQTTBridge) field.ErrorList {
	if b.Spec.Buffer == nil || b.Spec.Buffer.Disk == nil || b.Spec.Buffer.Disk.ExistingClaim != b.Name+"-bridge" {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("spec", "buffer", "disk", "existingClaim"), b.Spec.Buffer.Disk.ExistingClaim, "existingClaim is the name of the claim that the operator creates for this bridge; remove existingClaim to use that claim, or choose another claim")}
}

func quantityInRange(path *field.Path, q *resource.Quantity, low, high, text string) field.ErrorList {
	if q == nil || q.Cmp(resource.MustParse(low)) >= 0 && q.Cmp(resource.MustParse(high)) <= 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(path, q.String(), text)}
}
