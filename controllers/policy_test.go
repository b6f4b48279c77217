// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

func TestPolicy_Images_CoverRepositoriesTagsAndRegistries(t *testing.T) {
	for _, c := range []struct {
		entry, image string
		want         bool
	}{
		{"ghcr.io/mqttbridge/", "ghcr.io/mqttbridge/runner:v1", true},
		{"ghcr.io/mqttbridge/", "ghcr.io/mqttbridge-evil/runner:v1", false},
		{"ghcr.io/", "ghcr.io.evil.example/runner", false},
		{"ghcr.io/mqttbridge/runner", "ghcr.io/mqttbridge/runner", true},
		{"ghcr.io/mqttbridge/runner", "ghcr.io/mqttbridge/runner:v2", true},
		{"ghcr.io/mqttbridge/runner", "ghcr.io/mqttbridge/runner@sha256:ab", true},
		{"ghcr.io/mqttbridge/runner", "ghcr.io/mqttbridge/runner:v2@sha256:ab", true},
		{"ghcr.io/mqttbridge/runner", "ghcr.io/mqttbridge/runner-evil:v1", false},
		{"ghcr.io/mqttbridge/runner", "ghcr.io/mqttbridge/runner/evil:v1", false},
		{"ghcr.io/mqttbridge/runner:v1", "ghcr.io/mqttbridge/runner:v1", true},
		{"ghcr.io/mqttbridge/runner:v1", "ghcr.io/mqttbridge/runner:v11", false},
		{"ghcr.io/mqttbridge/runner:v1", "ghcr.io/mqttbridge/runner:v1@sha256:ab", false},
		{"registry.example:5000/runner", "registry.example:5000/runner:v1", true},
		{"registry.example", "registry.example:5000/runner", false},
		{"runner", "runner:v1", true},
		{"runner:v1", "runner:v1@sha256:ab", false},
		{"runner", "evil.example/runner", false},
	} {
		if got := coversImage(c.entry, c.image); got != c.want {
			t.Errorf("the entry %s covers the image %s: %t; want %t", c.entry, c.image, got, c.want)
		}
	}
}

func TestPolicy_Values_AreRefusedWithFieldValueAndRemedy(t *testing.T) {
	runner := func(r v1alpha1.Runner) *v1alpha1.MQTTBridge {
		b := newBridge("default", "plant")
		b.Spec.Runner = &r
		return b
	}
	login := newBridge("default", "plant")
	login.Spec.Remote.Credentials = &v1alpha1.Credentials{Password: &v1alpha1.SecretSource{SecretKeyRef: v1alpha1.KeyReference{Name: "database"}}}
	strict := Policy{Images: []string{}, PriorityClasses: []string{}, Secrets: []string{}, NoTolerations: true}
	for name, c := range map[string]struct {
		policy Policy
		bridge *v1alpha1.MQTTBridge
		want   string // empty: permitted
	}{
		"no policy":               {Policy{}, everything(t), ""},
		"nothing of the kind":     {strict, newBridge("default", "plant"), ""},
		"an image":                {Policy{Images: []string{"a/", "b/"}}, runner(v1alpha1.Runner{Image: "evil"}), `spec.runner.image: Invalid value: "evil": the operator permits these images: a/, b/;`},
		"a permitted image":       {Policy{Images: []string{"a/", "b/"}}, runner(v1alpha1.Runner{Image: "b/c"}), ""},
		"any image":               {strict, runner(v1alpha1.Runner{Image: "b/c"}), "the operator permits these images: none;"},
		"a priority class":        {Policy{PriorityClasses: []string{"low"}}, runner(v1alpha1.Runner{PriorityClassName: "system-node-critical"}), `spec.runner.priorityClassName: Invalid value: "system-node-critical": the operator permits these priority classes: low;`},
		"a permitted class":       {Policy{PriorityClasses: []string{"low"}}, runner(v1alpha1.Runner{PriorityClassName: "low"}), ""},
		"a ServiceAccount":        {Policy{ServiceAccounts: []string{"mqtt"}}, runner(v1alpha1.Runner{ServiceAccountName: "admin"}), `spec.runner.serviceAccountName: Invalid value: "admin": the operator permits these ServiceAccounts: mqtt;`},
		"a permitted account":     {Policy{ServiceAccounts: []string{"mqtt"}}, runner(v1alpha1.Runner{ServiceAccountName: "mqtt"}), ""},
		"a Secret in a variable":  {Policy{Secrets: []string{"mqtt-*"}}, runner(v1alpha1.Runner{Env: []corev1.EnvVar{{Name: "A", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "database"}, Key: "a"}}}}}), `spec.runner.env[0].valueFrom.secretKeyRef.name: Invalid value: "database"`},
		"a Secret in a volume":    {Policy{Secrets: []string{"mqtt-*"}}, runner(v1alpha1.Runner{ExtraVolumes: []v1alpha1.ExtraVolume{{Name: "a", Secret: &v1alpha1.LocalReference{Name: "database"}}}}), `spec.runner.extraVolumes[0].secret.name: Invalid value: "database"`},
		"a toleration":            {Policy{NoTolerations: true}, runner(v1alpha1.Runner{Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}}}), `spec.runner.tolerations: Invalid value: "1 toleration": the operator permits no tolerations;`},
		"a Secret of a login":     {Policy{Secrets: []string{"mqtt-*"}}, login, `spec.remote.credentials.password.secretKeyRef.name: Invalid value: "database": the operator permits Secrets with these names: mqtt-*;`},
		"a Secret for pulling":    {Policy{Secrets: []string{"mqtt-*"}}, runner(v1alpha1.Runner{ImagePullSecrets: []v1alpha1.LocalReference{{Name: "mqtt-x"}, {Name: "pull"}}}), `spec.runner.imagePullSecrets[1].name: Invalid value: "pull": `},
		"permitted Secrets":       {Policy{Secrets: []string{"other", "data*"}}, login, ""},
		"a Secret that is a part": {Policy{Secrets: []string{"data"}}, login, "data;"},
	} {
		t.Run(name, func(t *testing.T) {
			errs, err := c.policy.check(c.bridge)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if len(errs) > 0 {
				got = errs.ToAggregate().Error()
			}
			if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("refused with %q; want %q", got, c.want)
			}
		})
	}
}

// The policy must know every Secret that the API can bring into the pod.
func TestPolicy_Secrets_IncludeEveryReference(t *testing.T) {
	b := everything(t)
	template, err := podTemplate(b, testDefaults)
	if err != nil {
		t.Fatal(err)
	}
	got, err := secretsOf(template)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"local-login", "local-ca", "local-cert", "local-gateway", "local-proxy-login", "remote-two-login", "remote-two-gateway", "pull"} {
		if !slices.Contains(got, want) {
			t.Errorf("the Secret %s of the pod is missed; found are %q", want, got)
		}
	}
	if slices.Contains(got, "local-one-ca") {
		t.Error("a ConfigMap is treated as a Secret")
	}
}

func TestPolicy_ForbiddenImage_StallsAndKeepsTheBridgeRunning(t *testing.T) {
	b := newBridge(namespace(t), "plant")
	b.Spec.ClassName = "strict" // ignored by the operator of the other tests
	create(t, b)
	strict := &Reconciler{
		Client: operator.Client, APIReader: operator.APIReader, Recorder: operator.Recorder, Now: time.Now,
		RunnerImage: testRunnerImage, Class: "strict", Policy: Policy{Images: []string{"registry.example/"}},
	}
	reconcile := func(what string, done func(*v1alpha1.MQTTBridge) bool) {
		t.Helper()
		apiserver.Eventually(t, what, func(ctx context.Context) (bool, error) {
			if current, err := cacheIsCurrent(ctx, b); !current || err != nil {
				return false, err
			}
			if _, err := strict.Reconcile(ctx, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(b)}); err != nil {
				return false, err
			}
			got := &v1alpha1.MQTTBridge{}
			err := server.Client.Get(ctx, client.ObjectKeyFromObject(b), got)
			return err == nil && done(got), err
		})
	}
	reconcile("a reconciled bridge", func(got *v1alpha1.MQTTBridge) bool { return got.Status.ObservedGeneration == 1 })
	before := awaitDeployment(t, b, "the Deployment", func(*appsv1.Deployment) bool { return true })

	b = update(t, b, func(b *v1alpha1.MQTTBridge) {
		b.Spec.Runner = &v1alpha1.Runner{Image: "evil.example/miner", PriorityClassName: "high"}
		b.Spec.LocalToRemote[0].Topic = "x/${topic}"
	})
	reconcile("a stalled bridge", func(got *v1alpha1.MQTTBridge) bool {
		c := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionStalled)
		return c != nil && c.Reason == v1alpha1.ReasonNotAllowed && strings.Contains(c.Message, `spec.runner.image: Invalid value: "evil.example/miner"`) &&
			strings.Contains(meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionReady).Message, "; NotAllowed: "+c.Message)
	})
	after := awaitDeployment(t, b, "the Deployment", func(*appsv1.Deployment) bool { return true })
	if after.ResourceVersion != before.ResourceVersion {
		t.Error("a forbidden spec changed the Deployment")
	}
	b = update(t, b, func(b *v1alpha1.MQTTBridge) { b.Spec.Suspend = ptr.To(true) })
	reconcile("a stalled bridge that is scaled to zero", func(got *v1alpha1.MQTTBridge) bool {
		c := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionStalled)
		return got.Status.ObservedGeneration == b.Generation && c != nil && c.Reason == v1alpha1.ReasonNotAllowed
	})
	suspended := awaitDeployment(t, b, "no replicas", func(d *appsv1.Deployment) bool { return *d.Spec.Replicas == 0 })
	if image := suspended.Spec.Template.Spec.Containers[0].Image; image != testRunnerImage {
		t.Errorf("the suspended bridge has the image %s", image)
	}
	b = update(t, b, func(b *v1alpha1.MQTTBridge) { b.Spec.Suspend = nil })
	reconcile("a stalled bridge that is still stopped", func(got *v1alpha1.MQTTBridge) bool { return got.Status.ObservedGeneration == b.Generation })
	stopped := awaitDeployment(t, b, "the Deployment", func(*appsv1.Deployment) bool { return true })
	if *stopped.Spec.Replicas != 0 {
		t.Error("a forbidden bridge runs again when its suspension ends")
	}
	b = update(t, b, func(b *v1alpha1.MQTTBridge) { b.Spec.Runner = nil })
	reconcile("a permitted bridge", func(got *v1alpha1.MQTTBridge) bool { return got.Status.ObservedGeneration == b.Generation })
	awaitReplicas(t, b, 1)
}
