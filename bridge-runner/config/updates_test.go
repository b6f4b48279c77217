// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// generation returns the text of a manifest whose name is the text "name".
func generation(n int, name string) string {
	return fmt.Sprintf(`apiVersion: mqttbridge.io/v1alpha1
kind: MQTTBridge
metadata: {name: %s, generation: %d}
spec:
  local: {primary: {url: "mqtt://a"}}
  remote: {primary: {url: "mqtt://b"}}
  localToRemote: [{filter: "#"}]
`, name, n)
}

func TestUpdates_TwoSources_ApplyNoOlderManifest(t *testing.T) {
	type update struct {
		source     string // file or API
		generation int
		name       string
	}
	for name, c := range map[string]struct {
		started int
		updates []update
		want    string // the names of the applied manifests
	}{
		"only the file, without generations": {0, []update{{"file", 0, "a"}, {"file", 0, "b"}}, "a b"},
		"only the file, edited by hand":      {7, []update{{"file", 7, "a"}, {"file", 6, "b"}}, "a b"},
		"the file follows the API server":    {1, []update{{"API", 2, "a"}, {"file", 2, "b"}, {"API", 3, "c"}, {"file", 3, "d"}}, "a c"},
		"the file of an earlier generation":  {1, []update{{"API", 3, "a"}, {"file", 2, "b"}}, "a"},
		"the file without the API server":    {1, []update{{"API", 1, "a"}, {"file", 2, "b"}, {"file", 3, "c"}}, "a b c"},
		"an API server that is behind":       {3, []update{{"API", 2, "a"}, {"API", 3, "b"}}, "b"},
		"an API server behind the new file":  {1, []update{{"file", 4, "a"}, {"API", 3, "b"}, {"API", 4, "c"}}, "a c"},
		"a change within a generation":       {1, []update{{"API", 1, "a"}, {"API", 1, "b"}}, "a b"},
		"an API server that goes back":       {1, []update{{"API", 5, "a"}, {"API", 4, "b"}}, "a"},
		"an invalid manifest":                {1, []update{{"API", 2, "UPPER: {"}, {"API", 2, "b"}}, "b"},
	} {
		t.Run(name, func(t *testing.T) {
			running := &v1alpha1.MQTTBridge{}
			running.Generation = int64(c.started)
			var applied []string
			u := NewUpdates(running, slog.New(slog.DiscardHandler), func(next *v1alpha1.MQTTBridge, _ bool) { applied = append(applied, next.Name) })
			for _, x := range c.updates {
				text := generation(x.generation, x.name)
				if x.source == "API" {
					u.ConfigMap([]byte(text))
					continue
				}
				next, _, err := parse([]byte(text))
				if err != nil {
					t.Fatal(err)
				}
				u.File(next)
			}
			if want := strings.Fields(c.want); !slices.Equal(applied, want) {
				t.Errorf("the manifests %q were applied; want %q", applied, want)
			}
		})
	}
}

func TestUpdates_ChangedManifest_IsTheSameUnlessItNeedsARestartOrAnotherPod(t *testing.T) {
	const text = `apiVersion: mqttbridge.io/v1alpha1
kind: MQTTBridge
metadata:
  name: x
  generation: 3
  annotations:
    mqttbridge.io/manifest-version: "1"
    mqttbridge.io/template-hash: "1"
spec:
  local: {primary: {url: "mqtt://a"}}
  remote: {primary: {url: "mqtt://b"}, backups: [{url: "mqtt://c"}]}
  localToRemote: [{filter: "#"}]
  buffer: {disk: {size: 1Gi}}
`
	for _, tt := range []struct {
		change   string
		old, new string
		same     bool
	}{
		{"a generation", "x", "x", true},
		{"a preferred server", "backups:", "preferredServer: {name: c}, backups:", true},
		{"a default that is written explicitly", `filter: "#"`, `filter: "#", qos: 1`, true},
		{"another form of a size", "1Gi", "1024Mi", true},
		{"a deletion policy", "  buffer:", "  deletionPolicy: Drain\n  deletionTimeoutSeconds: 10\n  buffer:", true},
		{"a rule", `filter: "#"`, `filter: "+"`, false},
		{"a pod template", `hash: "1"`, `hash: "2"`, false},
		{"a preferred server and a rule", `backups: [{url: "mqtt://c"}]`, `backups: [{url: "mqtt://d"}], preferredServer: {name: d}`, false},
	} {
		t.Run(tt.change, func(t *testing.T) {
			running, err := Load(write(t, t.TempDir(), "bridge.yaml", text))
			if err != nil {
				t.Fatal(err)
			}
			_ = running.Spec.Buffer.Disk.Size.String() // a Quantity stores its text
			var applied []string
			u := NewUpdates(running, slog.New(slog.DiscardHandler), func(next *v1alpha1.MQTTBridge, same bool) {
				applied = append(applied, fmt.Sprintf("%d %t", next.Generation, same))
			})
			changed := strings.Replace(strings.Replace(text, "generation: 3", "generation: 4", 1), tt.old, tt.new, 1)
			u.ConfigMap([]byte(changed))
			u.ConfigMap([]byte(strings.Replace(text, "generation: 3", "generation: 5", 1))) // reverted before the restart
			if want := []string{fmt.Sprintf("4 %t", tt.same), "5 true"}; !slices.Equal(applied, want) {
				t.Errorf("generation and same are %q, want %q", applied, want)
			}
		})
	}
}
