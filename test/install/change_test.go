// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// The steps of "Changing between Helm and kustomize" in docs/installation.md. The end-to-end tests run them
// with a bridge that forwards.
func TestInstallation_ChangedFromHelmToKustomizeAndBack_KeepsBridges(t *testing.T) {
	i := newInstallation(t)
	const removeCRD = " delete crd mqttbridges.mqttbridge.io --ignore-not-found"
	i.mustRun(i.kubectl + removeCRD) // of the other tests
	finalized := make(chan error, 1)
	t.Cleanup(func() {
		i.mustRun(i.kubectl + removeCRD)
		_ = server.Client.Delete(context.Background(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: operatorNamespace}})
		if err := finalizeNamespace(context.Background(), operatorNamespace); err != nil {
			t.Error(err)
		}
	})
	helm := pinned("helm") + " --kubeconfig=" + i.kubeconfig + " --namespace=" + operatorNamespace + " "
	install := helm + "install mqttbridge-operator charts/mqttbridge-operator --create-namespace"
	uninstall := helm + "uninstall mqttbridge-operator"
	i.mustRun(install)
	bridge := i.createBridge(metav1.NamespaceDefault)
	uid := bridge.UID
	i.mustRun(uninstall)
	const crd = "customresourcedefinition.apiextensions.k8s.io/mqttbridges.mqttbridge.io"
	remaining := i.kubectl + " get crd,clusterroles,clusterrolebindings --selector=app.kubernetes.io/instance=mqttbridge-operator -o name"
	if out, err := i.run(remaining); err != nil || strings.TrimSpace(out) != crd {
		t.Errorf("after helm uninstall, %q remains (%v), want %s", out, err, crd)
	}

	i.mustRun("make deploy IMG=registry.example/mqttbridge-operator:one KUBECTL='" + i.kubectl + "'")
	go func() { finalized <- finalizeNamespace(t.Context(), operatorNamespace) }()
	i.mustRun("make undeploy KUBECTL='" + i.kubectl + "'")
	if err := <-finalized; err != nil {
		t.Fatal(err)
	}
	i.refused(install, "invalid ownership metadata")
	i.mustRun(install + " --take-ownership")
	apiserver.Eventually(t, "the API server has the same bridge", func(ctx context.Context) (bool, error) {
		err := server.Client.Get(ctx, client.ObjectKeyFromObject(bridge), bridge)
		return err == nil && bridge.UID == uid, client.IgnoreNotFound(err)
	})
	i.mustRun(uninstall)
	i.mustRun(install) // Helm owns the CRD again
	i.mustRun(uninstall)
}
