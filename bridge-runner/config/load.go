// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package config reads a bridge's manifest and the files that it refers to, and resolves the
// manifest into the [Settings] from which the parts of the runner are made.
//
// It promises that it refuses each manifest that the API server would refuse, and that the
// error names the field, the value and the remedy; so a runner that is started by hand is as
// safe as a runner in a cluster. It also promises to read a referenced Secret or ConfigMap
// when it is needed, so that an object that is created or changed later takes effect without
// a restart.
//
// Package manifest validates the manifest and compiles the rules.
package config

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// maxManifestBytes is the largest size of a manifest, in bytes. The largest manifest that
// the schema allows is smaller than an object that Kubernetes stores.
const maxManifestBytes = 3 << 20

// Load reads the MQTTBridge manifest at path and returns it with its defaults resolved. It
// refuses unknown fields, except in a manifest that the operator has made: the operator may be
// newer than the runner. [IgnoredFields] returns these fields.
func Load(path string) (*v1alpha1.MQTTBridge, error) {
	data, err := readManifest(path)
	if err != nil {
		return nil, err
	}
	bridge, _, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("the manifest %s is invalid: %w", path, err)
	}
	return bridge.WithDefaults(), nil
}

// IgnoredFields returns the paths of the fields of the manifest at path that Load ignores.
func IgnoredFields(path string) ([]string, error) {
	data, err := readManifest(path)
	if err != nil {
		return nil, err
	}
	_, ignored, err := parse(data)
	return ignored, err
}

func readManifest(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading the manifest: %w", err)
	}
	if info.Size() > maxManifestBytes {
		return nil, fmt.Errorf("the manifest %s has %d bytes, which is more than the limit of %d bytes; --bridge must name the file with the MQTTBridge manifest", path, info.Size(), maxManifestBytes)
	}
	data, err := os.ReadFile(path) //nolint:gosec // the file that the user names
	if err != nil {
		return nil, fmt.Errorf("reading the manifest: %w", err)
	}
	return data, nil
}

// parse decodes and validates a manifest. It returns the paths of the fields that it ignores.
func parse(data []byte) (bridge *v1alpha1.MQTTBridge, ignored []string, err error) {
	bridge = &v1alpha1.MQTTBridge{}
	// Read it as the API server does: field names are case-sensitive, and errors name the
	// path of an unknown field.
	asJSON, err := yaml.YAMLToJSONStrict(data)
	switch {
	case err != nil && strings.Contains(err.Error(), "unknown anchor"): // the error contains the value, which may be a secret
		return nil, nil, errors.New("a value begins with * and has no quotes, so YAML reads it as an alias; write the value in quotes")
	case err != nil:
		return nil, nil, err
	}
	// The version is checked first, because a later version may give a field another type.
	ofOperator, err := checkVersion(asJSON)
	if err != nil {
		return nil, nil, err
	}
	if err := validateTypes(asJSON).ToAggregate(); err != nil {
		return nil, nil, err
	}
	unknown, err := json.UnmarshalStrict(asJSON, bridge)
	if ofOperator {
		ignored, unknown = pathsOf(unknown), nil
	}
	if err := errors.Join(append(unknown, err)...); err != nil {
		return nil, nil, err
	}
	if err := manifest.Validate(bridge).ToAggregate(); err != nil {
		return nil, nil, err
	}
	return bridge, ignored, nil
}

// checkVersion reports whether the operator has made the manifest. It returns an error if the
// manifest needs a newer runner.
func checkVersion(asJSON []byte) (ofOperator bool, err error) {
	var head struct {
		Metadata struct {
			Annotations map[string]any `json:"annotations"`
		} `json:"metadata"`
	}
	if json.UnmarshalCaseSensitivePreserveInts(asJSON, &head) != nil {
		return false, nil // validateTypes reports the error
	}
	value, ofOperator := head.Metadata.Annotations[manifest.AnnotationVersion].(string)
	if !ofOperator {
		return false, nil
	}
	if err := manifest.CheckVersion(value); err != nil {
		return true, err
	}
	return true, nil
}

// pathsOf returns the paths of the unknown fields that the errors of json.UnmarshalStrict name.
func pathsOf(unknown []error) []string {
	out := make([]string, 0, len(unknown))
	for _, err := range unknown {
		quoted := strings.TrimPrefix(err.Error(), "unknown field ")
		if path, err := strconv.Unquote(quoted); err == nil {
			quoted = path
		}
		out = append(out, quoted)
	}
	return out
}
