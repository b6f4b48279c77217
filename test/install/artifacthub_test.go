// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// chartMetadata is Chart.yaml.
type chartMetadata struct {
	Version     string            `yaml:"version"`
	AppVersion  string            `yaml:"appVersion"`
	Annotations map[string]string `yaml:"annotations"`
}

func annotation[T any](t *testing.T, chart *chartMetadata, name string) (out T) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(chart.Annotations["artifacthub.io/"+name]), &out); err != nil {
		t.Fatalf("the annotation %s of Chart.yaml: %v", name, err)
	}
	return out
}

// A release changes the versions of Chart.yaml, and the annotation with the image must follow.
func TestChart_ArtifactHub_NamesTheImageOfTheVersion(t *testing.T) {
	var chart chartMetadata
	readYAML(t, filepath.Join(chartDir, "Chart.yaml"), &chart)
	images := annotation[[]struct{ Name, Image string }](t, &chart, "images")
	if len(images) != 1 || images[0].Image != "ghcr.io/mqttbridge/mqttbridge-operator:"+chart.AppVersion {
		t.Errorf("the annotation images is %+v; want the image with the tag %s", images, chart.AppVersion)
	}
	if chart.Version != chart.AppVersion {
		t.Errorf("the version is %s, and the appVersion %s; want the same", chart.Version, chart.AppVersion)
	}
	if got, want := chart.Annotations["artifacthub.io/prerelease"] == "true", strings.HasPrefix(chart.Version, "0."); got != want {
		t.Errorf("the annotation prerelease is %q for the version %s", chart.Annotations["artifacthub.io/prerelease"], chart.Version)
	}
}

func TestChart_ArtifactHub_DescribesTheCRD(t *testing.T) {
	apiserver.Need(t, server)
	var chart chartMetadata
	readYAML(t, filepath.Join(chartDir, "Chart.yaml"), &chart)
	crds := annotation[[]struct{ Kind, Version, Name, DisplayName, Description string }](t, &chart, "crds")
	examples := annotation[[]map[string]any](t, &chart, "crdsExamples")
	if len(crds) != 1 || len(examples) != 1 {
		t.Fatalf("%d CRDs and %d examples; want 1 and 1", len(crds), len(examples))
	}
	crd := only[map[string]any](t, helmed(t), "CustomResourceDefinition")
	name, _, _ := unstructured.NestedString(crd, "metadata", "name")
	kind, _, _ := unstructured.NestedString(crd, "spec", "names", "kind")
	if crds[0].Name != name || crds[0].Kind != kind {
		t.Errorf("the annotation crds is %+v; want %s, %s", crds[0], name, kind)
	}
	example := &unstructured.Unstructured{Object: examples[0]}
	example.SetNamespace("default")
	if got := example.GroupVersionKind(); got.Kind != kind || got.Version != crds[0].Version {
		t.Errorf("the example is a %s; want %s %s", got, crds[0].Version, kind)
	}
	if err := server.Client.Create(t.Context(), example, client.DryRunAll, client.FieldValidation("Strict")); err != nil {
		t.Errorf("the API server refuses the example: %v", err)
	}
}
