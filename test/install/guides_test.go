// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// guide is a page of docs/guides whose commands run against the API server.
type guide struct {
	*installation
	text string
}

func newGuide(t *testing.T, name string) *guide {
	t.Helper()
	i := newInstallation(t)
	text, err := os.ReadFile(filepath.Join(apiserver.Root(), "docs", "guides", name))
	if err != nil {
		t.Fatal(err)
	}
	i.installCRD()
	return &guide{i, string(text)}
}

func (i *installation) installCRD() {
	i.t.Helper()
	i.mustRun(i.kubectl + " apply --server-side --force-conflicts -f config/crd/bases/mqttbridge.io_mqttbridges.yaml")
	apiserver.Eventually(i.t, "the API server has bridges", func(ctx context.Context) (bool, error) {
		return server.Client.List(ctx, &v1alpha1.MQTTBridgeList{}) == nil, nil
	})
}

// blocks returns the code blocks of a language, without the indentation of lists.
func (g *guide) blocks(language string) (all []string) {
	for _, m := range regexp.MustCompile("(?ms)^( *)```"+language+"\n(.*?)^ *```$").FindAllStringSubmatch(g.text, -1) {
		all = append(all, strings.ReplaceAll("\n"+m[2], "\n"+m[1], "\n")[1:])
	}
	return all
}

// runBlock runs a block of commands. Only kubectl is a real program: other tests run the commands for
// brokers and for machines.
func (g *guide) runBlock(block string) {
	g.t.Helper()
	g.mustRun("set -eu; LOCAL_CLIENT_ID=id; cd \"$(mktemp -d)\"\n" +
		"kubectl() { " + g.kubectl + " \"$@\"; }\nmosquitto_sub() { :; }\nmosquitto_pub() { :; }\n" + block)
}

// create creates an object, and removes the finalizers for which no controller runs here.
func (g *guide) create(o client.Object) {
	g.t.Helper()
	apiserver.Eventually(g.t, "the object is created", func(ctx context.Context) (bool, error) {
		err := server.Client.Create(ctx, o)
		if apierrors.IsNotFound(err) { // the CRD takes effect after a moment
			return false, nil
		}
		return true, err
	})
	if len(o.GetFinalizers()) > 0 {
		o.SetFinalizers(nil)
		if err := server.Client.Update(g.t.Context(), o); err != nil {
			g.t.Fatal(err)
		}
	}
}

// report sets conditions of a bridge to True for all generations, as the operator does later.
func (g *guide) report(b *v1alpha1.MQTTBridge, conditions ...string) {
	g.t.Helper()
	const latest = 1000
	for _, c := range conditions {
		b.Status.Conditions = append(b.Status.Conditions, metav1.Condition{
			Type: c, Status: metav1.ConditionTrue, Reason: "Test", ObservedGeneration: latest, LastTransitionTime: metav1.Now(),
		})
	}
	if err := server.Client.Status().Update(g.t.Context(), b); err != nil {
		g.t.Fatal(err)
	}
}

// The two sites of the page are two namespaces of the API server, with the contexts of the page.
func TestDisasterRecoveryPage_Commands_SwitchSites(t *testing.T) {
	g := newGuide(t, "disaster-recovery.md")
	bridges := map[string]*v1alpha1.MQTTBridge{}
	for _, site := range []string{"site-a", "site-b"} {
		g.mustRun(g.kubectl + ` config set-context ` + site + ` --namespace=` + site +
			` --cluster="$(` + g.kubectl + ` config view -o jsonpath='{.clusters[0].name}')"` +
			` --user="$(` + g.kubectl + ` config view -o jsonpath='{.users[0].name}')"`)
		g.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: site}})
		file := filepath.Join(t.TempDir(), "bridge.yaml")
		if err := os.WriteFile(file, []byte(g.blocks("yaml")[0]), 0o600); err != nil {
			t.Fatal(err)
		}
		g.mustRun(g.kubectl + " --context " + site + " apply -f " + file)
		b := &v1alpha1.MQTTBridge{ObjectMeta: metav1.ObjectMeta{Namespace: site, Name: "plant-to-cloud"}}
		if !g.exists(b) {
			t.Fatalf("the bridge of %s does not exist", site)
		}
		g.report(b, v1alpha1.ConditionReady, v1alpha1.ConditionSuspended)
		bridges[site] = b
		t.Cleanup(func() { g.mustRun(g.kubectl + " --context " + site + " delete mqttbridge plant-to-cloud") })
	}
	g.mustRun(g.kubectl + ` --context site-a patch mqttbridge plant-to-cloud --type=merge --patch '{"spec":{"suspend":false}}'`)

	blocks := g.blocks("sh")
	if len(blocks) != 5 {
		t.Fatalf("the page has %d blocks of commands, and this test knows 5", len(blocks))
	}
	for n, want := range []struct {
		suspendedA, suspendedB bool
		preferredA, preferredB string
	}{
		{suspendedB: true},
		{suspendedA: true, suspendedB: true},
		{suspendedA: true},
		{suspendedA: true, preferredB: "plant-a cloud-a"},
		{suspendedB: true},
	} {
		g.runBlock(blocks[n])
		for site, w := range map[string]struct {
			suspended bool
			preferred string
		}{"site-a": {want.suspendedA, want.preferredA}, "site-b": {want.suspendedB, want.preferredB}} {
			b := bridges[site]
			if !g.exists(b) {
				t.Fatalf("the bridge of %s does not exist", site)
			}
			suspended := b.Spec.Suspend != nil && *b.Spec.Suspend
			var preferred []string
			for _, side := range []v1alpha1.Side{b.Spec.Local, b.Spec.Remote} {
				if p := side.PreferredServer; p != nil {
					preferred = append(preferred, p.Name)
				}
			}
			if suspended != w.suspended || strings.Join(preferred, " ") != w.preferred {
				t.Errorf("after %s: %s: suspended is %t, preferred are %q; want %t, %q", blocks[n], site, suspended, preferred, w.suspended, w.preferred)
			}
		}
	}
}

// setFinalizers returns the arguments of kubectl that replace the finalizers of the bridge.
func setFinalizers(list string) string {
	return ` patch mqttbridge plant-to-cloud --type=merge --patch '{"metadata":{"finalizers":[` + list + `]}}'`
}

// Each block runs in a cluster with a bridge that waits for the operator, its claim, and the Lease of the
// operator.
func TestDeletionPage_Commands_RemoveTheirObjects(t *testing.T) {
	g := newGuide(t, "deletion.md")
	bridge := func() *v1alpha1.MQTTBridge {
		return &v1alpha1.MQTTBridge{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: "plant-to-cloud"}}
	}
	claim := func() *corev1.PersistentVolumeClaim {
		return &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: "plant-to-cloud-bridge"}}
	}
	lease := func() *coordinationv1.Lease {
		return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: "operator.mqttbridge.io"}}
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: operatorNamespace}}
	if !g.exists(ns) {
		g.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: operatorNamespace}})
		t.Cleanup(func() {
			_ = server.Client.Delete(context.Background(), lease())
			_ = server.Client.Delete(context.Background(), ns)
			if err := finalizeNamespace(context.Background(), operatorNamespace); err != nil {
				t.Error(err)
			}
		})
	}

	ran := 0
	for _, block := range g.blocks("sh") {
		if !strings.Contains(block, "kubectl") {
			continue
		}
		ran++
		g.installCRD()
		if !g.exists(bridge()) {
			b := bridge()
			b.Spec = v1alpha1.MQTTBridgeSpec{
				Local:         v1alpha1.Side{Primary: v1alpha1.Server{URL: "mqtt://local:1883"}},
				Remote:        v1alpha1.Side{Primary: v1alpha1.Server{URL: "mqtt://remote:1883"}},
				LocalToRemote: []v1alpha1.Rule{{Filter: "sensors/#"}},
			}
			g.create(b)
		}
		if strings.Contains(block, "/metadata/finalizers") { // the operator does not run
			g.mustRun(g.kubectl + setFinalizers("\""+v1alpha1.DeletionFinalizer+"\""))
			g.mustRun(g.kubectl + " delete mqttbridge plant-to-cloud --wait=false")
		}
		if strings.Contains(block, "--for=delete") { // the operator ends the deletion while the block waits
			g.mustRun(g.kubectl + setFinalizers("\""+v1alpha1.DeletionFinalizer+"\""))
			block = strings.Replace(block, "kubectl wait", "kubectl"+setFinalizers("")+"\nkubectl wait", 1)
		}
		if c := claim(); !g.exists(c) {
			c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
			c.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
			g.create(c)
		}
		if l := lease(); !g.exists(l) {
			g.create(l)
		}
		g.runBlock(block)
		for object, gone := range map[string]bool{
			"the bridge": strings.Contains(block, "delete mqttbridge") || strings.Contains(block, "/metadata/finalizers"),
			"the claim":  strings.Contains(block, "delete pvc"),
			"the Lease":  strings.Contains(block, "delete lease"),
			"the CRD":    strings.Contains(block, "delete crd"),
		} {
			var exists bool
			switch object {
			case "the bridge":
				exists = g.crdExists() && g.exists(bridge())
			case "the claim":
				exists = g.exists(claim())
			case "the Lease":
				exists = g.exists(lease())
			case "the CRD":
				exists = g.crdExists()
			}
			if gone && exists {
				t.Errorf("%s still exists after\n%s", object, block)
			}
		}
	}
	if ran != 6 {
		t.Errorf("%d blocks with kubectl were found, and this test knows 6", ran)
	}
	g.mustRun(g.kubectl + " delete mqttbridge plant-to-cloud --namespace=default --ignore-not-found")
	g.mustRun(g.kubectl + " delete pvc plant-to-cloud-bridge --namespace=default --ignore-not-found")
}
