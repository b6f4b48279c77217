// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// The removal of the release removes the CRD and all bridges, which another user may have created.
func TestNewRelease_ClusterInUse_IsRefused(t *testing.T) {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: OperatorNamespace}}
	crd := []*metav1.APIResourceList{{GroupVersion: v1alpha1.GroupVersion.String()}}
	for name, tt := range map[string]struct {
		local   bool
		objects []runtime.Object
		served  []*metav1.APIResourceList
		want    string
	}{
		"namespace of the operator":       {objects: []runtime.Object{namespace}, want: "namespace " + OperatorNamespace + " exists"},
		"operator in another namespace":   {served: crd, want: "kubectl get mqttbridges -A"},
		"namespace, local cluster":        {local: true, objects: []runtime.Object{namespace}, want: "namespace " + OperatorNamespace + " exists"},
		"CRD of an earlier test":          {local: true, served: crd},
		"cluster without other operators": {served: []*metav1.APIResourceList{{GroupVersion: "apps/v1"}}},
	} {
		client := fake.NewClientset(tt.objects...)
		client.Resources = tt.served
		c := &Cluster{Local: tt.local, Client: client, Root: t.TempDir(), log: t.Output()}
		switch err := c.checkUnused(t.Context()); {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
		if tt.want == "" {
			continue
		}
		if _, err := c.NewRelease(t.Context()); err == nil {
			t.Errorf("%s: a release is created", name)
		}
	}
}

// An API server that does not answer may have an installation, which the user has to remove.
func TestUninstall_NoAnswerOfTheAPIServer_IsAnError(t *testing.T) {
	client := fake.NewClientset()
	failed := errors.New("no answer")
	client.PrependReactor("get", "namespaces", func(k8stesting.Action) (bool, runtime.Object, error) { return true, nil, failed })
	c := &Cluster{Client: client, kubectl: "false", log: t.Output()}
	if err := (&Release{cluster: c}).Uninstall(t.Context()); !errors.Is(err, failed) {
		t.Errorf("the error is %v", err)
	}
	c.Client = fake.NewClientset()
	if err := (&Release{cluster: c}).Uninstall(t.Context()); err != nil {
		t.Errorf("without an installation: %v", err)
	}
}
