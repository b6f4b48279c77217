// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"strconv"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Version is the version of the protocol by which the operator passes a manifest to a runner.
// The runner may be older or newer than the operator, for example because spec.runner.image
// names its image:
//
//   - The operator passes only fields that the user has set. The runner knows the defaults.
//   - The runner ignores a field that it does not know, and reports it.
//   - If a feature must not be ignored, the operator passes a higher version, but only in the
//     manifests that use the feature. A runner that does not know this version refuses the
//     manifest.
//
// Therefore an upgrade of the operator does not change the manifest of a bridge that uses no
// new feature.
const Version = 1

// AnnotationVersion is the annotation that holds the version in a manifest that the operator
// has made. Manifests that users write do not have it, and must not contain unknown fields.
const AnnotationVersion = "mqttbridge.io/manifest-version"

// AnnotationTemplateHash is the annotation that holds the hash of the pod template for which
// the operator has made the manifest. The Deployment has it, too, and the pod as EnvTemplateHash.
// A runner that receives a manifest with another hash than its pod runs in a pod that is being
// replaced: the new pod applies the manifest. The runner applies only the preferred servers and the
// deletion, and does not report the generation.
const AnnotationTemplateHash = "mqttbridge.io/template-hash"

// AnnotationHandOver is the annotation of an MQTTBridge by which a user requests a hand-over: the active
// runner hands over to its standby once for each new value. The operator copies it to the manifest.
const AnnotationHandOver = "mqttbridge.io/hand-over"

// EnvTemplateHash is the environment variable of the runner's container that holds the hash of
// the template of its pod.
const EnvTemplateHash = "TEMPLATE_HASH"

// CheckVersion returns an error if a runner of this version must not use a manifest with the
// given value of AnnotationVersion.
func CheckVersion(value string) *field.Error {
	path := field.NewPath("metadata", "annotations").Key(AnnotationVersion)
	version, err := strconv.Atoi(value)
	switch {
	case err != nil || version < 1:
		return field.Invalid(path, value, "must be a whole number from 1; remove the annotation from a manifest that you have written")
	case version > Version:
		return field.Invalid(path, value, fmt.Sprintf("this runner knows the versions up to %d, and the manifest uses a feature of a later version; "+
			"use a newer image in spec.runner.image, or remove the image to use the operator's", Version))
	}
	return nil
}
