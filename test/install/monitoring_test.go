// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// The rules and dashboards are generated into the files of the chart. A chart without them refuses
// to install them, and says why.
func TestChart_RulesAndDashboards_AreInstalledOrMissedWithAMessage(t *testing.T) {
	for _, c := range []struct{ value, files, kind, missing string }{
		{"prometheusRule.enabled", "files/rules.yaml", "PrometheusRule", "the chart has no file files/rules.yaml"},
		{"dashboards.enabled", "files/dashboards/*.json", "ConfigMap", "the chart has no files in files/dashboards"},
	} {
		t.Run(c.value, func(t *testing.T) {
			files, err := filepath.Glob(filepath.Join(chartDir, c.files))
			if err != nil {
				t.Fatal(err)
			}
			if len(files) > 0 {
				if n := len(decode[map[string]any](t, helmed(t, "--set="+c.value+"=true"), c.kind)); n != len(files) {
					t.Errorf("%d objects of kind %s; want one for each of %q", n, c.kind, files)
				}
				return
			}
			cmd := exec.CommandContext(t.Context(), "bash", "-c", pinned("helm")+" template operator charts/mqttbridge-operator --set="+c.value+"=true")
			cmd.Dir = apiserver.Root()
			if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), c.missing) {
				t.Errorf("%v: want a failure with %q\n%s", err, c.missing, out)
			}
		})
	}
}

// config/prometheus has the objects of the chart for the Prometheus operator.
func TestInstall_KustomizeAndHelm_CreateSameMonitoring(t *testing.T) {
	args := []string{"--set=serviceMonitor.enabled=true,podMonitor.enabled=true"}
	want := []string{"PodMonitor mqttbridge-system/mqttbridge-operator-runners", "ServiceMonitor mqttbridge-system/mqttbridge-operator"}
	if _, err := os.Stat(filepath.Join(chartDir, "files", "rules.yaml")); err == nil {
		args = append(args, "--set=prometheusRule.enabled=true")
		want = append(want, "PrometheusRule mqttbridge-system/mqttbridge-operator")
	}
	h := withoutTool(helmed(t, args...))
	for _, name := range want {
		if h[name] == nil {
			t.Errorf("the chart does not create the %s", name)
		}
	}
	if _, err := os.Stat(filepath.Join(apiserver.Root(), "config", "prometheus", "kustomization.yaml")); err != nil {
		return // only the chart has monitoring
	}
	k := withoutTool(tool(t, "kustomize", "build", "config/prometheus"))
	for _, name := range want {
		if !reflect.DeepEqual(k[name], h[name]) {
			t.Errorf("%s differs:\nkustomize: %+v\nHelm:      %+v", name, k[name], h[name])
		}
	}
	if len(k) != len(want) {
		t.Errorf("kustomize creates %d objects; want %q", len(k), want)
	}
}
