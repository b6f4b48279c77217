// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package verdicts runs the configuration of docs/operations.md with the libraries that Flux and
// Argo CD use, over a bridge in each state, and compares the verdicts with the documented table.
// The tests of controllers write the bridges. This is a module of its own, so that the libraries
// do not decide the versions of the operator's dependencies.
package verdicts

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

const (
	root = "../.."
	// customization has the layout of a directory in resource_customizations of Argo CD.
	customization = root + "/config/argocd/mqttbridge.io/MQTTBridge"
)

var update = flag.Bool("update", false, "write health_test.yaml instead of comparing with it")

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// states returns the bridges by the name of their file, without the extension.
func states(t *testing.T) map[string]*unstructured.Unstructured {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(customization, "testdata", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no states: %v", err)
	}
	out := map[string]*unstructured.Unstructured{}
	for _, file := range files {
		data, err := yaml.YAMLToJSON([]byte(read(t, file)))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		u := &unstructured.Unstructured{}
		if err := json.Unmarshal(data, &u.Object); err != nil { // integers are int64, as clients of Kubernetes decode them
			t.Fatalf("%s: %v", file, err)
		}
		out[strings.TrimSuffix(filepath.Base(file), ".yaml")] = u
	}
	return out
}

// A verdict is what each tool makes of a state.
type verdict struct{ kstatus, flux, argoCD string }

// documented returns the table of verdicts, by the names of the files of the states.
func documented(t *testing.T) map[string]verdict {
	t.Helper()
	row := regexp.MustCompile(`(?m)^\| (.+?) \| (\w+) \| (\w+) \| (\w+) \|$`)
	other := regexp.MustCompile(`[^a-z0-9]+`)
	out := map[string]verdict{}
	for _, cells := range row.FindAllStringSubmatch(section(t), -1) {
		name := strings.Trim(other.ReplaceAllString(strings.ToLower(cells[1]), "-"), "-")
		if _, twice := out[name]; twice {
			t.Errorf("the table has two rows for %q", cells[1])
		}
		out[name] = verdict{kstatus: cells[2], flux: cells[3], argoCD: cells[4]}
	}
	return out
}

func TestVerdicts_EveryState_MatchTheDocumentedTable(t *testing.T) {
	table, bridges := documented(t), states(t)
	reader, script := fluxReader(t), read(t, filepath.Join(customization, "health.lua"))
	for state := range table {
		if bridges[state] == nil {
			t.Errorf("docs/operations.md has a row for %s; no such state is tested", state)
		}
	}
	for state, bridge := range bridges {
		t.Run(state, func(t *testing.T) {
			result, err := status.Compute(bridge)
			if err != nil {
				t.Fatal(err)
			}
			got := verdict{result.Status.String(), reader(t, bridge), runHealthScript(t, script, bridge).Status}
			if want, found := table[state]; !found || got != want {
				t.Errorf("the verdicts are %+v; the table of docs/operations.md has %+v", got, want)
			}
		})
	}
}
