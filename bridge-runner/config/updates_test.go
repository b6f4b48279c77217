// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
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

// target is a config.Target that records the calls.
type target struct {
	apply   func(next *Manifest, ofPod bool) error
	refused []string // the generation and the message of each refused manifest; empty: none is refused any more
}

func (x *target) Apply(next *Manifest, ofPod bool) error { return x.apply(next, ofPod) }

func (x *target) SetRefused(r *v1alpha1.RefusedManifest) {
	if r == nil {
		x.refused = append(x.refused, "")
		return
	}
	x.refused = append(x.refused, fmt.Sprintf("%d: %s", r.Generation, r.Message))
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
			running := &Manifest{MQTTBridge: &v1alpha1.MQTTBridge{}}
			running.Generation = int64(c.started)
			var applied []string
			u := NewUpdates(running, "", slog.New(slog.DiscardHandler), &target{apply: func(next *Manifest, _ bool) error {
				applied = append(applied, next.Name)
				return nil
			}})
			for _, x := range c.updates {
				text := generation(x.generation, x.name)
				if x.source == "API" {
					u.ConfigMap([]byte(text))
					continue
				}
				u.File(parse([]byte(text)))
			}
			if want := strings.Fields(c.want); !slices.Equal(applied, want) {
				t.Errorf("the manifests %q were applied; want %q", applied, want)
			}
		})
	}
}

// ofPod returns the text of a manifest that the operator has made for the pod template "1".
func ofPod(generation int, version string) string {
	return fmt.Sprintf(`apiVersion: mqttbridge.io/v1alpha1
kind: MQTTBridge
metadata:
  name: x
  generation: %d
  annotations:
    mqttbridge.io/manifest-version: "%s"
    mqttbridge.io/template-hash: "1"
spec:
  local: {primary: {url: "mqtt://a"}}
  remote: {primary: {url: "mqtt://b"}}
  localToRemote: [{filter: "#"}]
`, generation, version)
}

func TestUpdates_ManifestForAnotherPodTemplate_IsNotOfThisPod(t *testing.T) {
	running, err := parse([]byte(ofPod(3, "1")))
	if err != nil {
		t.Fatal(err)
	}
	var applied []string
	u := NewUpdates(running, "", slog.New(slog.DiscardHandler), &target{apply: func(next *Manifest, ofPod bool) error {
		applied = append(applied, fmt.Sprintf("%d %t", next.Generation, ofPod))
		return nil
	}})
	u.ConfigMap([]byte(strings.Replace(ofPod(4, "1"), `hash: "1"`, `hash: "2"`, 1)))
	u.ConfigMap([]byte(ofPod(5, "1"))) // reverted before the pod is replaced
	if want := []string{"4 false", "5 true"}; !slices.Equal(applied, want) {
		t.Errorf("%q, want %q", applied, want)
	}
}

func TestUpdates_StartWithTheManifestOfAnotherPod_AppliesOnlyManifestsOfThisPod(t *testing.T) {
	other := strings.Replace(ofPod(3, "1"), `hash: "1"`, `hash: "0"`, 1)
	running, err := parse([]byte(other)) // the kubelet has mounted an older ConfigMap
	if err != nil {
		t.Fatal(err)
	}
	var applied []string
	u := NewUpdates(running, "1", slog.New(slog.DiscardHandler), &target{apply: func(next *Manifest, ofPod bool) error {
		applied = append(applied, fmt.Sprintf("%d %t", next.Generation, ofPod))
		return nil
	}})
	u.File(parse([]byte(other)))
	u.ConfigMap([]byte(ofPod(4, "1")))
	u.File(parse([]byte(ofPod(5, "1"))))
	if want := []string{"3 false", "4 true", "5 true"}; !slices.Equal(applied, want) {
		t.Errorf("%q, want %q", applied, want)
	}
}

func TestUpdates_RefusedManifest_IsReportedOnceUntilALaterOneIsApplied(t *testing.T) {
	const later = `3: metadata.annotations[mqttbridge.io/manifest-version]: Invalid value: "9": this runner knows`
	anotherPod := strings.Replace(ofPod(4, "9"), `hash: "1"`, `hash: "2"`, 1)
	for name, c := range map[string]struct {
		texts []string // of the API server
		want  []string // the beginnings of the reports
	}{
		"a later version":             {[]string{ofPod(3, "9"), ofPod(3, "9")}, []string{later}},
		"corrected":                   {[]string{ofPod(3, "9"), ofPod(4, "1")}, []string{later, ""}},
		"an older manifest is behind": {[]string{ofPod(3, "9"), ofPod(2, "1")}, []string{later}},
		"of the running generation":   {[]string{ofPod(3, "9"), ofPod(1, "9")}, []string{later}},
		"for another pod":             {[]string{anotherPod}, nil},
		"not YAML":                    {[]string{"a: ["}, []string{"0: "}},
		"refused by the target":       {[]string{ofPod(7, "1"), ofPod(8, "1")}, []string{"7: no directory", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			running, err := parse([]byte(ofPod(2, "1")))
			if err != nil {
				t.Fatal(err)
			}
			x := &target{apply: func(next *Manifest, _ bool) error {
				if next.Generation == 7 {
					return errors.New("no directory")
				}
				return nil
			}}
			u := NewUpdates(running, "", slog.New(slog.DiscardHandler), x)
			for _, text := range c.texts {
				u.ConfigMap([]byte(text))
			}
			if len(x.refused) != len(c.want) {
				t.Fatalf("%q, want %q", x.refused, c.want)
			}
			for i := range c.want {
				if got := x.refused[i]; !strings.HasPrefix(got, c.want[i]) || c.want[i] == "" && got != "" {
					t.Errorf("%q, want %q", got, c.want[i])
				}
			}
		})
	}
}

// The kubelet brings the ConfigMap to the file later than the API server to the runner.
func TestUpdates_OlderFileAfterARefusal_KeepsTheRefusal(t *testing.T) {
	running, err := parse([]byte(ofPod(2, "1")))
	if err != nil {
		t.Fatal(err)
	}
	x := &target{apply: func(next *Manifest, _ bool) error {
		if next.Generation == 4 {
			return errors.New("no directory")
		}
		return nil
	}}
	u := NewUpdates(running, "", slog.New(slog.DiscardHandler), x)
	for _, refused := range []string{ofPod(3, "9"), ofPod(4, "1")} {
		before := len(x.refused)
		u.ConfigMap([]byte(refused))
		u.File(parse([]byte(ofPod(2, "1"))))
		u.File(parse([]byte(refused)))
		if len(x.refused) != before+1 || x.refused[before] == "" {
			t.Fatalf("%q, want one refusal more than %d", x.refused, before)
		}
	}
	u.File(parse([]byte(ofPod(5, "1")))) // the API server cannot be reached
	if last := x.refused[len(x.refused)-1]; last != "" {
		t.Errorf("%q is still refused", last)
	}
}

func TestSameSettings_Change_IsASettingOfTheBridgeOrNot(t *testing.T) {
	const text = `apiVersion: mqttbridge.io/v1alpha1
kind: MQTTBridge
metadata: {name: x}
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
		{"a preferred server", "backups:", "preferredServer: {name: c}, backups:", true},
		{"a default that is written explicitly", `filter: "#"`, `filter: "#", qos: 1`, true},
		{"another form of a size", "1Gi", "1024Mi", true},
		{"a deletion policy", "  buffer:", "  deletionPolicy: Drain\n  deletionTimeoutSeconds: 10\n  buffer:", true},
		{"the resources and the log", "  buffer:", "  runner: {logLevel: debug, logFormat: json, resources: {requests: {cpu: 1}}}\n  buffer:", true},
		{"a rule", `filter: "#"`, `filter: "+"`, false},
		{"a preferred server and another server", `backups: [{url: "mqtt://c"}]`, `backups: [{url: "mqtt://d"}], preferredServer: {name: d}`, false},
	} {
		t.Run(tt.change, func(t *testing.T) {
			running, err := parse([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			_ = running.Spec.Buffer.Disk.Size.String() // a Quantity stores its text
			next, err := parse([]byte(strings.Replace(text, tt.old, tt.new, 1)))
			if err != nil {
				t.Fatal(err)
			}
			if got := SameSettings(&running.Spec, &next.Spec); got != tt.same {
				t.Errorf("%t, want %t", got, tt.same)
			}
		})
	}
}
