// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/json"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// unknownField is the message for a field that the API does not have.
const unknownField = "the API has no such field; correct its name or remove it (bridge-runner convert corrects the names of earlier releases)"

// Check returns the manifest that [Load] would return, or all errors for which it would refuse the
// manifest. As on the API server, a value of a wrong type hides the errors that depend on values. err
// is not nil if the manifest is not YAML; it names the line.
func Check(data []byte) (m *Manifest, problems field.ErrorList, err error) {
	m, refused := parse(data)
	if refused == nil {
		return m, nil, nil
	}
	asJSON, err := toJSON(data)
	if err != nil {
		return nil, nil, err
	}
	problems = validateTypes(asJSON)
	bridge := &v1alpha1.MQTTBridge{}
	unknown, err := json.UnmarshalStrict(asJSON, bridge)
	for _, path := range pathsOf(unknown) {
		problems = append(problems, &field.Error{Type: field.ErrorTypeInvalid, Field: path, BadValue: path, Detail: unknownField})
	}
	if err == nil && len(problems) == len(unknown) { // all values have the right type
		problems = append(problems, manifest.Validate(bridge)...)
	}
	if len(problems) == 0 {
		return nil, nil, refused
	}
	return nil, problems, nil
}
