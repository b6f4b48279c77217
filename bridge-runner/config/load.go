// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package config reads a bridge's manifest and the files that it refers to.
//
// It promises that a manifest which the API server would refuse is refused here,
// too, with the field, the value and the remedy, so that a runner started by hand
// is as safe as one in a cluster; and that referenced Secrets and ConfigMaps are
// read when they are needed, so that one which is missing or rotated is picked
// up without a restart.
package config

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// maxManifestBytes bounds what is read: the largest manifest that the schema
// allows is smaller than an object that Kubernetes stores.
const maxManifestBytes = 3 << 20

// Load reads the MQTTBridge manifest at path and returns it with its defaults
// resolved. Unknown fields are refused.
func Load(path string) (*v1alpha1.MQTTBridge, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading the manifest: %w", err)
	}
	if info.Size() > maxManifestBytes {
		return nil, fmt.Errorf("the manifest %s has %d bytes, more than %d", path, info.Size(), maxManifestBytes)
	}
	data, err := os.ReadFile(path) //nolint:gosec // the file that the user names
	if err != nil {
		return nil, fmt.Errorf("reading the manifest: %w", err)
	}
	bridge, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("the manifest %s is refused: %w", path, err)
	}
	return bridge.WithDefaults(), nil
}

func parse(data []byte) (*v1alpha1.MQTTBridge, error) {
	bridge := &v1alpha1.MQTTBridge{}
	// As the API server reads it: case matters, and unknown fields are told with
	// their path.
	asJSON, err := yaml.YAMLToJSONStrict(data)
	switch {
	case err != nil && strings.Contains(err.Error(), "unknown anchor"): // its words hold the value, which may be a secret
		return nil, errors.New("a value that begins with * has no quotes, so that YAML reads it as an alias; write it in quotes")
	case err != nil:
		return nil, err
	}
	if err := validateTypes(asJSON).ToAggregate(); err != nil {
		return nil, err
	}
	unknown, err := json.UnmarshalStrict(asJSON, bridge)
	if err := errors.Join(append(unknown, err)...); err != nil {
		return nil, err
	}
	if err := Validate(bridge).ToAggregate(); err != nil {
		return nil, err
	}
	return bridge, nil
}
