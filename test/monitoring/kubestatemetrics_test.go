// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"bytes"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// customResourceState is the part of the configuration of kube-state-metrics that the project uses.
// kube-state-metrics itself cannot be a dependency, because it is no library.
type customResourceState struct {
	Kind string
	Spec struct {
		Resources []struct {
			GroupVersionKind map[string]string `yaml:"groupVersionKind"`
			MetricNamePrefix string            `yaml:"metricNamePrefix"`
			LabelsFromPath   paths             `yaml:"labelsFromPath"`
			Metrics          []stateMetric
		}
	}
}

type paths map[string][]string

type stateMetric struct {
	Name, Help     string
	CommonLabels   map[string]string `yaml:"commonLabels"`
	LabelsFromPath paths             `yaml:"labelsFromPath"`
	Each           struct {
		Type  string
		Info  *stateValue
		Gauge *stateValue
	}
}

// stateValue has the paths of values and labels.
type stateValue struct {
	Path           []string
	LabelsFromPath paths    `yaml:"labelsFromPath"`
	ValueFrom      []string `yaml:"valueFrom"`
	NilIsZero      bool     `yaml:"nilIsZero"`
}

func stateConfig(t *testing.T) *customResourceState {
	t.Helper()
	decoder := yaml.NewDecoder(bytes.NewReader(read(t, "config/kube-state-metrics/mqttbridges.yaml")))
	decoder.KnownFields(true)
	config := &customResourceState{}
	if err := decoder.Decode(config); err != nil {
		t.Fatal(err)
	}
	if config.Kind != "CustomResourceStateMetrics" || len(config.Spec.Resources) != 1 {
		t.Fatalf("the configuration is %+v", config)
	}
	return config
}

// lookup returns the value at a path of an object, nil if there is none.
func lookup(object any, path []string) any {
	for _, key := range path {
		fields, ok := object.(map[string]any)
		if !ok {
			return nil
		}
		object = fields[key]
	}
	return object
}

// series returns the series of a bridge, as kube-state-metrics writes them.
func (c *customResourceState) series(bridge any) (out []string) {
	resource := &c.Spec.Resources[0]
	for _, m := range resource.Metrics {
		labels := maps.Clone(m.CommonLabels)
		if labels == nil {
			labels = map[string]string{}
		}
		addLabels(labels, bridge, resource.LabelsFromPath)
		addLabels(labels, bridge, m.LabelsFromPath)
		value := m.Each.Gauge
		if m.Each.Type == "Info" {
			value = m.Each.Info
		}
		found := lookup(bridge, value.Path)
		items, isList := found.([]any)
		if !isList {
			items = []any{found}
		}
		for _, item := range items {
			all := maps.Clone(labels)
			addLabels(all, item, value.LabelsFromPath)
			number := numberOf(lookup(item, value.ValueFrom), value.NilIsZero)
			if m.Each.Type == "Info" {
				number = "1"
			}
			if number != "" {
				out = append(out, resource.MetricNamePrefix+"_"+m.Name+write(all)+" "+number)
			}
		}
	}
	return out
}

func addLabels(labels map[string]string, object any, from paths) {
	for name, path := range from {
		if value := lookup(object, path); value != nil {
			labels[name] = fmt.Sprint(value)
		}
	}
}

// numberOf converts a value as kube-state-metrics does. It returns "" if this is not possible.
func numberOf(value any, nilIsZero bool) string {
	switch v := value.(type) {
	case nil:
		if nilIsZero {
			return "0"
		}
	case int:
		return fmt.Sprint(v)
	case string:
		return map[string]string{"True": "1", "False": "0", "Unknown": "0"}[v]
	}
	return ""
}

func write(labels map[string]string) string {
	pairs := make([]string, 0, len(labels))
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		pairs = append(pairs, fmt.Sprintf("%s=%q", name, labels[name]))
	}
	return "{" + strings.Join(pairs, ",") + "}"
}

// bridgeStates returns a bridge in each state. The tests of package controllers write them.
func bridgeStates(t *testing.T) map[string]any {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "config", "argocd", "mqttbridge.io", "MQTTBridge", "testdata", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no states: %v", err)
	}
	out := map[string]any{}
	for _, file := range files {
		var bridge any
		if err := yaml.Unmarshal(read(t, strings.TrimPrefix(file, root)), &bridge); err != nil {
			t.Fatal(err)
		}
		out[strings.TrimSuffix(filepath.Base(file), ".yaml")] = bridge
	}
	return out
}

func TestKubeStateMetrics_BridgeOnABackup_HasSeries(t *testing.T) {
	got := stateConfig(t).series(bridgeStates(t)["forwarding-on-a-backup"])
	const bridge = `name="plant",namespace="default"`
	want := []string{
		`kube_mqttbridge_info{` + bridge + `} 1`,
		`kube_mqttbridge_metadata_generation{` + bridge + `} 3`,
		`kube_mqttbridge_status_observed_generation{` + bridge + `} 3`,
		`kube_mqttbridge_status_condition{` + bridge + `,reason="Forwarding",status="True",type="Ready"} 1`,
		`kube_mqttbridge_status_condition{` + bridge + `,reason="Connected",status="True",type="LocalConnected"} 1`,
		`kube_mqttbridge_status_condition{` + bridge + `,reason="Connected",status="True",type="RemoteConnected"} 1`,
		`kube_mqttbridge_status_condition{` + bridge + `,reason="ActiveOnBackup",status="True",type="Degraded"} 1`,
		`kube_mqttbridge_status_active_server_place{` + bridge + `,server="primary",side="local"} 1`,
		`kube_mqttbridge_status_active_server_place{` + bridge + `,server="backup-1",side="remote"} 2`,
		`kube_mqttbridge_status_switches{` + bridge + `,side="local"} 0`,
		`kube_mqttbridge_status_switches{` + bridge + `,side="remote"} 0`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("the series are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestKubeStateMetrics_EachState_ShowsItsConditions(t *testing.T) {
	config := stateConfig(t)
	for state, bridge := range bridgeStates(t) {
		text := strings.Join(config.series(bridge), "\n")
		conditions, _ := lookup(bridge, []string{"status", "conditions"}).([]any)
		for _, c := range conditions {
			number := "0"
			if lookup(c, []string{"status"}) == "True" {
				number = "1"
			}
			labels := write(map[string]string{
				"name": "plant", "namespace": "default",
				"type": fmt.Sprint(lookup(c, []string{"type"})), "status": fmt.Sprint(lookup(c, []string{"status"})), "reason": fmt.Sprint(lookup(c, []string{"reason"})),
			})
			if want := "kube_mqttbridge_status_condition" + labels + " " + number; !strings.Contains(text, want) {
				t.Errorf("%s: no series %s:\n%s", state, want, text)
			}
		}
	}
}

// schemaAt returns the schema of a path of the CRD, nil if the CRD has no such field. The items of
// a list follow the list.
func schemaAt(schema any, path []string) any {
	for _, key := range path {
		if items := lookup(schema, []string{"items"}); items != nil {
			schema = items
		}
		schema = lookup(schema, []string{"properties", key})
	}
	return schema
}

func TestKubeStateMetrics_Paths_AreInTheCRD(t *testing.T) {
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema map[string]any
			}
		}
	}
	if err := yaml.Unmarshal(read(t, "config/crd/bases/mqttbridge.io_mqttbridges.yaml"), &crd); err != nil {
		t.Fatal(err)
	}
	schema := crd.Spec.Versions[0].Schema["openAPIV3Schema"]
	checked := 0
	check := func(path ...string) {
		if len(path) == 0 || path[0] == "metadata" { // which the CRD does not describe
			return
		}
		checked++
		if schemaAt(schema, path) == nil {
			t.Errorf("the CRD has no field %s", strings.Join(path, "."))
		}
	}
	for _, m := range stateConfig(t).Spec.Resources[0].Metrics {
		for _, path := range m.LabelsFromPath {
			check(path...)
		}
		for _, value := range []*stateValue{m.Each.Info, m.Each.Gauge} {
			if value == nil {
				continue
			}
			check(value.Path...)
			check(slices.Concat(value.Path, value.ValueFrom)...)
			for _, path := range value.LabelsFromPath {
				check(slices.Concat(value.Path, path)...)
			}
		}
	}
	if checked < 15 {
		t.Errorf("only %d paths were found", checked)
	}
}

func TestKubeStateMetrics_DocumentedTable_HasAllMetrics(t *testing.T) {
	var got, want []string
	for _, found := range regexp.MustCompile("(?m)^\\| `(kube_mqttbridge_[a-z_]+)`").FindAllStringSubmatch(string(read(t, "docs/monitoring.md")), -1) {
		got = append(got, found[1])
	}
	resource := stateConfig(t).Spec.Resources[0]
	for _, m := range resource.Metrics {
		want = append(want, resource.MetricNamePrefix+"_"+m.Name)
	}
	if want = slices.Compact(want); !slices.Equal(got, want) {
		t.Errorf("docs/monitoring.md has %v, want %v", got, want)
	}
}
