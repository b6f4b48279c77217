// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

const operatorNamespace = "mqttbridge-system"

var server *apiserver.Server

func TestMain(m *testing.M) {
	os.Exit(apiserver.Run(m, func(_ context.Context, s *apiserver.Server) error {
		server = s
		return nil
	}))
}

// installation runs the tools of an administrator against the API server.
type installation struct {
	t          *testing.T
	kubeconfig string
	kubectl    string
}

func newInstallation(t *testing.T) *installation {
	t.Helper()
	apiserver.Need(t, server)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, server.Kubeconfig(), 0o600); err != nil {
		t.Fatal(err)
	}
	return &installation{t, file, server.Tool("kubectl") + " --kubeconfig=" + file}
}

// run runs a shell command in the project's directory. It returns the output, and an error if
// the command fails.
func (i *installation) run(command string) (string, error) {
	i.t.Helper()
	cmd := exec.CommandContext(i.t.Context(), "bash", "-o", "pipefail", "-c", command)
	cmd.Dir = apiserver.Root()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (i *installation) mustRun(command string) {
	i.t.Helper()
	if out, err := i.run(command); err != nil {
		i.t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

// refused runs a command that must fail with a message.
func (i *installation) refused(command, message string) {
	i.t.Helper()
	if out, err := i.run(command); err == nil || !strings.Contains(out, message) {
		i.t.Errorf("%s: want a refusal with %q, got %v\n%s", command, message, err, out)
	}
}

// pinned returns the command that runs a tool of hack/tools.
func pinned(name string) string {
	return "go tool -modfile=hack/tools/" + name + "/go.mod " + name
}

func (i *installation) createBridge(namespace string) *v1alpha1.MQTTBridge {
	i.t.Helper()
	b := &v1alpha1.MQTTBridge{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "plant"},
		Spec: v1alpha1.MQTTBridgeSpec{
			Local:         v1alpha1.Side{Primary: v1alpha1.Server{URL: "mqtt://local:1883"}},
			Remote:        v1alpha1.Side{Primary: v1alpha1.Server{URL: "mqtt://remote:1883"}},
			LocalToRemote: []v1alpha1.Rule{{Filter: "sensors/#"}},
		},
	}
	apiserver.Eventually(i.t, "the CRD accepts a bridge", func(ctx context.Context) (bool, error) {
		return server.Client.Create(ctx, b) == nil, nil // the CRD takes effect after a moment
	})
	return b
}

func (i *installation) exists(obj client.Object) bool {
	i.t.Helper()
	err := server.Client.Get(i.t.Context(), client.ObjectKeyFromObject(obj), obj)
	if err != nil && !apierrors.IsNotFound(err) {
		i.t.Fatal(err)
	}
	return err == nil
}

func (i *installation) crdExists() bool {
	i.t.Helper()
	out, err := i.run(i.kubectl + " get crd mqttbridges.mqttbridge.io --ignore-not-found --output=name")
	if err != nil {
		i.t.Fatalf("%v\n%s", err, out)
	}
	return strings.TrimSpace(out) != ""
}

// finalizeNamespace ends the deletion of a namespace, as the namespace controller does.
func finalizeNamespace(ctx context.Context, name string) error {
	for {
		ns := &corev1.Namespace{}
		err := server.Client.Get(ctx, client.ObjectKey{Name: name}, ns)
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case err != nil:
			return err
		case !ns.DeletionTimestamp.IsZero():
			ns.Spec.Finalizers = nil
			if err := server.Client.SubResource("finalize").Update(ctx, ns); client.IgnoreNotFound(err) != nil && !apierrors.IsConflict(err) {
				return err
			}
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func TestMake_UndeployAndUninstall_KeepBridgesUnlessForced(t *testing.T) {
	i := newInstallation(t)
	makeTarget := func(target string) string { return "make " + target + " KUBECTL='" + i.kubectl + "'" }
	i.mustRun(pinned("kustomize") + " build config/default | " + i.kubectl + " apply --server-side -f -")
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "mqttbridge-operator-manager"}}
	if !i.exists(role) {
		t.Fatal("the operator is not installed")
	}

	inside := i.createBridge(operatorNamespace)
	i.refused(makeTarget("undeploy"), "Refused: these bridges would be removed with the operator's namespace")
	if err := server.Client.Delete(t.Context(), inside); err != nil {
		t.Fatal(err)
	}

	bridge := i.createBridge(metav1.NamespaceDefault)
	finalized := make(chan error, 1)
	go func() { finalized <- finalizeNamespace(t.Context(), operatorNamespace) }()
	i.mustRun(makeTarget("undeploy"))
	if err := <-finalized; err != nil {
		t.Fatal(err)
	}
	if i.exists(role) {
		t.Error("make undeploy has left the operator's role")
	}
	if !i.exists(bridge) {
		t.Fatal("make undeploy has deleted a bridge")
	}

	i.refused(makeTarget("uninstall"), "Refused: the CRD would be removed with these bridges")
	if !i.exists(bridge) {
		t.Fatal("a refused make uninstall has deleted a bridge")
	}
	i.mustRun(makeTarget("uninstall FORCE_CRD=1"))
	if i.crdExists() {
		t.Error("make uninstall FORCE_CRD=1 has left the CRD")
	}
	i.mustRun(makeTarget("uninstall")) // nothing is left to remove
}

func TestHelm_Uninstall_KeepsCRDAndBridges(t *testing.T) {
	i := newInstallation(t)
	if i.crdExists() { // of the other tests, and not of a release
		i.mustRun(i.kubectl + " delete crd mqttbridges.mqttbridge.io")
	}
	helm := pinned("helm") + " --kubeconfig=" + i.kubeconfig + " --namespace=helm "
	i.mustRun(helm + "install operator charts/mqttbridge-operator --create-namespace")
	bridge := i.createBridge(metav1.NamespaceDefault)
	i.mustRun(helm + "uninstall operator")
	if !i.exists(bridge) {
		t.Error("helm uninstall has deleted a bridge")
	}
	if !i.crdExists() {
		t.Error("helm uninstall has deleted the CRD")
	}
	i.mustRun(helm + "install operator charts/mqttbridge-operator") // finds the CRD of the earlier release
}
