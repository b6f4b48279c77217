// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/test/cluster"
)

// earlierVersion is the version of the chart and the image from which the tests upgrade. No release exists
// yet: both are made from this checkout, without the field newField in the CRD.
const (
	earlierVersion = "0.0.9"
	newField       = "tracing"
)

// The tests of this file replace the installation that all tests share, and therefore do not run in
// parallel with others.

// earlierChart writes the chart of earlierVersion, as hack/release does for a release, and returns its directory.
func (a *administrator) earlierChart() string {
	a.t.Helper()
	dir := a.t.TempDir()
	a.run("go run ./hack/release chart " + earlierVersion + " " + dir)
	chart := filepath.Join(dir, "mqttbridge-operator")
	file := filepath.Join(chart, "files", "crd.yaml")
	data, err := os.ReadFile(file)
	must(a.t, err)
	crd := map[string]any{}
	must(a.t, yaml.Unmarshal(data, &crd))
	for _, version := range crd["spec"].(map[string]any)["versions"].([]any) {
		schema := version.(map[string]any)["schema"].(map[string]any)["openAPIV3Schema"].(map[string]any)
		fields := schema["properties"].(map[string]any)["spec"].(map[string]any)["properties"].(map[string]any)
		if fields[newField] == nil {
			a.t.Fatalf("the CRD has no field spec.%s", newField)
		}
		delete(fields, newField)
	}
	data, err = yaml.Marshal(crd)
	must(a.t, err)
	must(a.t, os.WriteFile(file, data, 0o600))
	return chart
}

// images returns the images of the earlier version and of the chart's version. On a cluster into which no
// image can be loaded, both are the same.
func images(t *testing.T, current string) (before, after string) {
	t.Helper()
	if !shared.Local {
		return operatorImage, operatorImage
	}
	before, err := shared.LoadOperatorRelease(t.Context(), earlierVersion)
	must(t, err)
	after, err = shared.LoadOperatorRelease(t.Context(), current)
	must(t, err)
	return before, after
}

// imageFlags are the flags of helm install. Without a tag, the chart uses its appVersion as the tag.
func imageFlags(image string) string {
	repository, tag := image[:strings.LastIndexByte(image, ':')], image[strings.LastIndexByte(image, ':')+1:]
	flags := " --set=image.repository=" + repository
	if !shared.Local {
		flags += ",image.tag=" + tag
	}
	return flags
}

func chartVersion(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(shared.Root, "charts", "mqttbridge-operator", "Chart.yaml"))
	must(t, err)
	var chart struct{ Version string }
	must(t, yaml.Unmarshal(data, &chart))
	return chart.Version
}

// schemaHas reports whether the CRD in the cluster has the field that the earlier CRD does not have.
func (a *administrator) schemaHas() bool {
	a.t.Helper()
	return strings.TrimSpace(a.run("kubectl get crd mqttbridges.mqttbridge.io -o jsonpath='{.spec.versions[0].schema.openAPIV3Schema.properties.spec.properties."+newField+".type}'")) != ""
}

func TestHelm_UpgradeDowngradeUninstallAndInstall_BridgesForwardThroughout(t *testing.T) {
	a := newAdministrator(t)
	current, chart := chartVersion(t), a.earlierChart()
	before, after := images(t, current)
	install := a.documented("helm install") + imageFlags(before)
	upgrade, rollback := a.documented("helm upgrade"), a.documented("helm rollback")

	a.run(strings.Replace(install, "charts/mqttbridge-operator", chart, 1))
	if a.schemaHas() {
		t.Fatalf("the earlier CRD has the field spec.%s", newField)
	}
	f := newUpgradeFleet(t, before)

	f.phase("upgrade", func() { a.run(upgrade); f.rolledOut(after) })
	if !a.schemaHas() {
		t.Errorf("helm upgrade has not updated the CRD: it lacks spec.%s", newField)
	}
	f.change(newField, "{}", after)

	// The earlier CRD does not have the field: the API server removes it from the bridge.
	f.phase("downgrade", func() { a.run(rollback); f.rolledOut(before) })
	for _, w := range f.worlds {
		if spec := w.kubectl("get", "mqb", bridgeName, "-o", "jsonpath={.spec}"); strings.Contains(spec, newField) {
			t.Errorf("after the downgrade, the bridge has the field spec.%s: %s", newField, spec)
		}
	}
	if a.schemaHas() {
		t.Errorf("helm rollback has not brought the earlier CRD back: it has spec.%s", newField)
	}
	f.phase("second upgrade", func() { a.run(upgrade); f.rolledOut(after) })

	f.phase("interrupted upgrade", func() {
		a.interrupt(upgrade + " --set=image.tag=missing")
		a.refused(upgrade, "another operation (install/upgrade/rollback) is in progress")
		a.run(rollback)
		a.run(upgrade)
		f.rolledOut(after)
	})

	pods := f.pods()
	f.phase("uninstallation", func() {
		a.run(a.documented("helm uninstall"))
		a.run("kubectl wait pods --namespace=" + cluster.OperatorNamespace + " --selector=" + release.Selector() + " --for=delete --timeout=120s")
	})
	a.assertRemains("customresourcedefinition.apiextensions.k8s.io/mqttbridges.mqttbridge.io", "lease.coordination.k8s.io/operator.mqttbridge.io")
	f.phase("second installation", func() { a.run(install); f.change(newField, "{}", after) })
	if now := f.pods(); now != pods {
		t.Errorf("the runner pods were %s before the uninstallation, and are %s; want the same", pods, now)
	}
	f.finish()
}

// Bridges keep forwarding while their administrator changes from Helm to kustomize and back.
func TestMake_DeployAfterHelmAndUndeploy_BridgesForwardThroughout(t *testing.T) {
	a := newAdministrator(t)
	install := a.documented("helm install") + imageFlags(operatorImage) + ",image.tag=" + operatorImage[strings.LastIndexByte(operatorImage, ':')+1:]
	a.run(install)
	t.Cleanup(func() { a.run("make undeploy") }) // runs before the cleanup of newAdministrator
	f := newUpgradeFleet(t, operatorImage)
	pods := f.pods()
	f.phase("helm uninstall", func() { a.run(a.documented("helm uninstall")) })
	f.phase("make deploy", func() {
		a.run(strings.Replace(a.documented("make deploy"), "your.registry/mqttbridge-operator:tag", operatorImage, 1))
		a.run("kubectl rollout status deployment --namespace=" + cluster.OperatorNamespace + " --timeout=180s")
		f.change(newField, "{}", operatorImage)
	})
	f.phase("make undeploy", func() { a.run("make undeploy") })
	a.assertRemains("customresourcedefinition.apiextensions.k8s.io/mqttbridges.mqttbridge.io")
	f.phase("helm install", func() { a.run(install + " --take-ownership"); f.change(newField, "null", operatorImage) })
	if now := f.pods(); now != pods {
		t.Errorf("the runner pods were %s at first, and are %s; want the same", pods, now)
	}
	f.finish()
}
