// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"maps"
	"regexp"
	"slices"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
)

// withoutTracing is a bridge to which the manifests of docs/tracing.md add their fields.
const withoutTracing = `
apiVersion: mqttbridge.io/v1alpha1
kind: MQTTBridge
metadata: {name: plant1}
spec:
  local: {primary: {url: "mqtt://plant.example"}}
  remote: {primary: {url: "mqtt://cloud.example"}}
  localToRemote: [{filter: sensors/#}]
`

func TestTracing_ManifestsOfPage_AreValid(t *testing.T) {
	all := blocks(read(t, "docs/tracing.md"), "yaml")
	if len(all) < 2 {
		t.Fatalf("the page has %d manifests", len(all))
	}
	for _, block := range all {
		var whole, part map[string]any
		for text, into := range map[string]*map[string]any{block: &part, withoutTracing: &whole} {
			if err := yaml.Unmarshal([]byte(text), into); err != nil {
				t.Fatal(err)
			}
		}
		maps.Copy(whole["spec"].(map[string]any), part["spec"].(map[string]any))
		text, err := yaml.Marshal(whole)
		if err != nil {
			t.Fatal(err)
		}
		m, problems, err := config.Check(text)
		if err != nil || len(problems) > 0 {
			t.Errorf("the manifest is refused: %v %v\n%s", err, problems, block)
			continue
		}
		if m.Spec.Tracing == nil {
			t.Errorf("the manifest does not turn tracing on:\n%s", block)
		}
	}
}

func TestTracing_Attributes_AreExplained(t *testing.T) {
	names := func(text string) []string {
		found := map[string]bool{}
		for _, m := range regexp.MustCompile("[\"`](mqttbridge[.][a-z_.]+)[\"`]").FindAllStringSubmatch(text, -1) {
			found[m[1]] = true
		}
		return slices.Sorted(maps.Keys(found))
	}
	want, got := names(read(t, "bridge-runner/tracing/attributes.go")), names(read(t, "docs/tracing.md"))
	if len(want) < 10 || !slices.Equal(got, want) {
		t.Errorf("docs/tracing.md explains %q; the runner sets %q", got, want)
	}
}
