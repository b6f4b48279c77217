// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
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
	ctx := context.WithoutCancel(i.t.Context()) // it also runs commands in cleanups
	cmd := exec.CommandContext(ctx, "bash", "-o", "pipefail", "-c", command)
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

// checkReleaseSize checks that Helm can still store the release, with the chart and all manifests,
// in a Secret. The API server permits 1 MiB.
func (i *installation) checkReleaseSize(namespace, name string) {
	i.t.Helper()
	secret := &corev1.Secret{}
	if err := server.Client.Get(i.t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, secret); err != nil {
		i.t.Fatal(err)
	}
	const limit = 700 << 10
	if n := len(secret.Data["release"]); n == 0 || n > limit {
		i.t.Errorf("the release needs %d bytes; want at most %d, so that Helm can store it", n, limit)
	}
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

// An operator that is applied over an installation with the earlier names must not run beside it.
func TestMake_RemoveEarlier_RemovesObjectsWithEarlierNamesOnly(t *testing.T) {
	i := newInstallation(t)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: operatorNamespace}}
	if err := server.Client.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Client.Delete(context.Background(), ns)
		if err := finalizeNamespace(context.Background(), operatorNamespace); err != nil {
			t.Error(err)
		}
	})
	account := func(name string) *corev1.ServiceAccount {
		return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: name}}
	}
	role := func(name string) *rbacv1.ClusterRole {
		return &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}}
	}
	earlier := []client.Object{account("mqttbridge-controller-manager"), role("mqttbridge-manager-role"), role("mqttbridge-metrics-reader")}
	others := []client.Object{account("mqttbridge-operator"), role("mqttbridge-operator-other")}
	for _, o := range slices.Concat(earlier, others) {
		if err := server.Client.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	i.mustRun("make remove-earlier KUBECTL='" + i.kubectl + "'")
	for _, o := range earlier {
		if i.exists(o) {
			t.Errorf("%T %s still exists", o, o.GetName())
		}
	}
	for _, o := range others {
		if !i.exists(o) {
			t.Errorf("%T %s was removed", o, o.GetName())
		}
	}
	i.mustRun("make remove-earlier KUBECTL='" + i.kubectl + "'") // nothing is left to remove
}

// With --reuse-values, Helm keeps the default values of the earlier chart, so that values which are
// new in this chart are absent.
func TestHelm_UpgradeWithValuesOfAnEarlierChart_Works(t *testing.T) {
	i := newInstallation(t)
	chart := filepath.Join(t.TempDir(), "mqttbridge-operator")
	i.mustRun("cp -R charts/mqttbridge-operator " + chart + " && cp test/install/testdata/values-0.1.0.yaml " + chart + "/values.yaml")
	helm := pinned("helm") + " --kubeconfig=" + i.kubeconfig + " --namespace=earlier "
	const values = " --set=crds.install=false,image.tag=one,runner.image=registry.example/runner:fixed"
	i.mustRun(helm + "install earlier " + chart + " --create-namespace" + values)
	t.Cleanup(func() { i.mustRun(helm + "uninstall earlier") })
	for _, flag := range []string{"--reuse-values", "--reset-then-reuse-values"} {
		i.mustRun(helm + "upgrade earlier charts/mqttbridge-operator " + flag)
		d := &appsv1.Deployment{}
		if err := server.Client.Get(t.Context(), client.ObjectKey{Namespace: "earlier", Name: "earlier-mqttbridge-operator"}, d); err != nil {
			t.Fatal(err)
		}
		pod := d.Spec.Template.Spec
		if c := pod.Containers[0]; !strings.HasSuffix(c.Image, ":one") || c.Args[0] != "--runner-image=registry.example/runner:fixed" {
			t.Errorf("%s: the image is %s, and the first argument %s; want the values of the installation", flag, c.Image, c.Args[0])
		}
		if pod.SecurityContext.RunAsNonRoot == nil || !*pod.SecurityContext.RunAsNonRoot {
			t.Errorf("%s: the pod may run as root", flag)
		}
	}
}

func TestHelm_Uninstall_KeepsCRDAndBridges(t *testing.T) {
	i := newInstallation(t)
	if i.crdExists() { // of the other tests, and not of a release
		i.mustRun(i.kubectl + " delete crd mqttbridges.mqttbridge.io")
	}
	helm := pinned("helm") + " --kubeconfig=" + i.kubeconfig + " --namespace=helm "
	i.mustRun(helm + "install operator charts/mqttbridge-operator --create-namespace")
	i.checkReleaseSize("helm", "sh.helm.release.v1.operator.v1")
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
