// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// ownLabels are the labels that describe the tool that has installed an object.
var ownLabels = []string{"app.kubernetes.io/managed-by", "app.kubernetes.io/version", "helm.sh/chart"}

// withoutTool returns the objects by kind, namespace and name, without the labels and annotations
// of the tool. It leaves out the test of the chart, which is a hook.
func withoutTool(objects []unstructured.Unstructured) map[string]map[string]any {
	out := map[string]map[string]any{}
	for i := range objects {
		u := objects[i].DeepCopy()
		labels, annotations := u.GetLabels(), u.GetAnnotations()
		if annotations["helm.sh/hook"] != "" {
			continue
		}
		for _, label := range ownLabels {
			delete(labels, label)
		}
		delete(annotations, "helm.sh/resource-policy")
		u.SetLabels(labels)
		u.SetAnnotations(annotations)
		out[fmt.Sprintf("%s %s/%s", u.GetKind(), u.GetNamespace(), u.GetName())] = u.Object
	}
	return out
}

func TestInstall_KustomizeAndHelm_CreateSameObjects(t *testing.T) {
	k, h := withoutTool(kustomized(t)), withoutTool(helmed(t))
	// helm install --create-namespace creates the namespace.
	const namespace = "Namespace /" + operatorNamespace
	if k[namespace] == nil {
		t.Errorf("kustomize does not create the %s", namespace)
	}
	delete(k, namespace)
	if kNames, hNames := slices.Sorted(maps.Keys(k)), slices.Sorted(maps.Keys(h)); !slices.Equal(kNames, hNames) {
		t.Errorf("kustomize creates\n%q\nand Helm\n%q", kNames, hNames)
	}
	for name := range k {
		if h[name] != nil && !reflect.DeepEqual(k[name], h[name]) {
			t.Errorf("%s differs:\nkustomize: %+v\nHelm:      %+v", name, k[name], h[name])
		}
	}
	if len(k) < 15 {
		t.Errorf("only %d objects were compared", len(k))
	}
}

func TestKustomize_Runners_UseTheImageOfTheOperator(t *testing.T) {
	const image = "ghcr.io/mqttbridge/mqttbridge-operator:latest"
	c := only[appsv1.Deployment](t, kustomized(t), "Deployment").Spec.Template.Spec.Containers[0]
	if c.Image != image || c.Args[0] != "--runner-image="+image {
		t.Errorf("the image is %s, and the first argument %s; want %s for both", c.Image, c.Args[0], image)
	}
}
