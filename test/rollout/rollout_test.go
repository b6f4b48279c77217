// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/controllers"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

const (
	bridges = 20
	// limit is the default of --max-unavailable-bridges: 10% of the bridges.
	limit = 2
	// pinned is the name of the bridge with updatePolicy: OnSpecChange.
	pinned = "bridge-19"
)

// newFleet creates the bridges, and waits until all of them are Ready with the first image.
func newFleet(t *testing.T) *cluster {
	t.Helper()
	c := newCluster(t)
	stop := startOperator(t, imageV1)
	defer stop()
	for i := range bridges {
		b := plainBridge(c.namespace, fmt.Sprintf("bridge-%02d", i), i)
		if b.Name == pinned {
			b.Spec.Runner = &v1alpha1.Runner{UpdatePolicy: v1alpha1.UpdateOnSpecChange}
		}
		if err := server.Client.Create(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	c.awaitReady(bridges)
	return c
}

// plainBridge returns a bridge with a topic of its own.
func plainBridge(namespace, name string, i int) *v1alpha1.MQTTBridge {
	return &v1alpha1.MQTTBridge{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.MQTTBridgeSpec{
			Local:         v1alpha1.Side{Primary: v1alpha1.Server{URL: "mqtt://local:1883"}},
			Remote:        v1alpha1.Side{Primary: v1alpha1.Server{URL: "mqtt://remote:1883"}},
			LocalToRemote: []v1alpha1.Rule{{Filter: fmt.Sprintf("sensors/%d/#", i)}},
		},
	}
}

func TestRollout_WrongImage_StopsOneBridgeAndAllReturnWhenCorrected(t *testing.T) {
	apiserver.Need(t, server)
	c := newFleet(t)

	stop := startOperator(t, imageBad)
	c.awaitEvent(v1alpha1.EventRolloutStopped, "ImagePullBackOff")
	c.awaitStates(bridges-2, 1)
	c.assertImages(map[string]int{imageV1: bridges - 1, imageBad: 1})
	c.assertReady(bridges - 1)
	c.assertManifests()

	// A change of the spec of a bridge that waits is applied at once: by the running pod, or by a
	// new one with the image that works.
	waiting := c.waiting(2)
	c.awaitApplied(waiting[0], c.change(waiting[0], newTopic))
	c.awaitReplaced(c.change(waiting[1], newPod))
	c.assertImages(map[string]int{imageV1: bridges - 1, imageBad: 1})

	// The next leader finds the state in the cluster.
	stop()
	stop = startOperator(t, imageBad)
	c.awaitStates(bridges-2, 1)
	c.assertImages(map[string]int{imageV1: bridges - 1, imageBad: 1})
	stop()

	// With a correct image, the stopped bridge is first, and the others follow.
	stop = startOperator(t, imageV2)
	c.awaitImages(map[string]int{imageV1: 1, imageV2: bridges - 1})
	c.awaitReady(bridges)
	c.awaitStates(0, 0)
	c.assertBrokenFirst()

	c.change(pinned, func(b *v1alpha1.MQTTBridge) { b.Spec.Runner.UpdatePolicy = v1alpha1.UpdateAutomatic })
	c.awaitImages(map[string]int{imageV2: bridges})
	c.awaitReady(bridges)
	c.assertManifests()
	stop()
	if c.mostDown() > limit {
		t.Errorf("%d bridges were down at the same time; want at most %d", c.mostDown(), limit)
	}
	if got := len(c.events(t.Context(), v1alpha1.EventRolloutStopped)); got != 1 {
		t.Errorf("%d events %s; want 1", got, v1alpha1.EventRolloutStopped)
	}
}

// TestRollout_PullSecretsOfTheOperatorChanged_ReplacesPodsStepByStep also checks that the Secrets of a bridge
// have precedence.
func TestRollout_PullSecretsOfTheOperatorChanged_ReplacesPodsStepByStep(t *testing.T) {
	apiserver.Need(t, server)
	c := newFleet(t)
	const withOwn = "bridge-03"
	stop := startOperator(t, imageV1)
	c.awaitReplaced(c.change(withOwn, func(b *v1alpha1.MQTTBridge) {
		b.Spec.Runner = &v1alpha1.Runner{ImagePullSecrets: []v1alpha1.LocalReference{{Name: "own"}}}
	}))
	stop()

	stop = startOperator(t, imageV1, func(r *controllers.Reconciler) { r.RunnerPullSecrets = []string{"edge", "mirror"} })
	defer stop()
	c.awaitPullSecrets(map[string]int{"": 1, "edge,mirror": bridges - 2, "own": 1}) // none for pinned
	c.awaitReady(bridges)
	c.awaitStates(0, 0)
	c.assertManifests()
	if c.mostDown() > limit {
		t.Errorf("%d bridges were down at the same time; want at most %d", c.mostDown(), limit)
	}
}

// awaitPullSecrets waits until as many Deployments have each list of Secrets.
func (c *cluster) awaitPullSecrets(want map[string]int) {
	c.t.Helper()
	apiserver.Eventually(c.t, fmt.Sprintf("the pull Secrets are %v", want), func(ctx context.Context) (bool, error) {
		deployments, got := &appsv1.DeploymentList{}, map[string]int{}
		err := server.Client.List(ctx, deployments, client.InNamespace(c.namespace))
		for i := range deployments.Items {
			var names []string
			for _, secret := range deployments.Items[i].Spec.Template.Spec.ImagePullSecrets {
				names = append(names, secret.Name)
			}
			got[strings.Join(names, ",")]++
		}
		return maps.Equal(got, want), err
	})
}

func TestRollout_PodChangedWithOnSpecChange_GetsTheNewImage(t *testing.T) {
	apiserver.Need(t, server)
	c := newFleet(t)
	stop := startOperator(t, imageV2)
	defer stop()
	c.awaitImages(map[string]int{imageV1: 1, imageV2: bridges - 1})
	c.awaitApplied(pinned, c.change(pinned, newTopic))
	c.assertImages(map[string]int{imageV1: 1, imageV2: bridges - 1})
	c.change(pinned, newPod)
	c.awaitImages(map[string]int{imageV2: bridges})
	c.awaitReady(bridges)
}

// newTopic is a change that the running pod applies.
func newTopic(b *v1alpha1.MQTTBridge) { b.Spec.LocalToRemote[0].Topic = "x/${topic}" }

// newPod is a change that needs a new pod.
func newPod(b *v1alpha1.MQTTBridge) {
	if b.Spec.Runner == nil {
		b.Spec.Runner = &v1alpha1.Runner{}
	}
	b.Spec.Runner.PodAnnotations = map[string]string{"example.com/changed": "yes"}
}

// change changes the spec of a bridge, and returns its Deployment before the change.
func (c *cluster) change(name string, edit func(*v1alpha1.MQTTBridge)) *appsv1.Deployment {
	c.t.Helper()
	key := client.ObjectKey{Namespace: c.namespace, Name: name}
	b, d := &v1alpha1.MQTTBridge{}, &appsv1.Deployment{}
	if err := server.Client.Get(c.t.Context(), key, b); err != nil {
		c.t.Fatal(err)
	}
	if err := server.Client.Get(c.t.Context(), client.ObjectKey{Namespace: c.namespace, Name: name + "-bridge"}, d); err != nil {
		c.t.Fatal(err)
	}
	old := b.DeepCopy()
	edit(b)
	if err := server.Client.Patch(c.t.Context(), b, client.MergeFrom(old)); err != nil {
		c.t.Fatal(err)
	}
	return d
}

// awaitReplaced waits until a Deployment has another pod template.
func (c *cluster) awaitReplaced(before *appsv1.Deployment) {
	c.t.Helper()
	apiserver.Await(c.t, server.Client, &appsv1.DeploymentList{}, client.ObjectKeyFromObject(before), "a new pod template", func(d *appsv1.Deployment) bool {
		return d.Generation > before.Generation && d.Status.ObservedGeneration == d.Generation && d.Status.AvailableReplicas == 1
	})
}

// awaitApplied waits until a bridge forwards with its latest generation, and fails the test if its
// pod was replaced. before is its Deployment before the change.
func (c *cluster) awaitApplied(name string, before *appsv1.Deployment) {
	c.t.Helper()
	key := client.ObjectKey{Namespace: c.namespace, Name: name}
	apiserver.Await(c.t, server.Client, &v1alpha1.MQTTBridgeList{}, key, "the change in effect", func(b *v1alpha1.MQTTBridge) bool {
		return b != nil && b.Generation > 1 && forwards(b)
	})
	after := &appsv1.Deployment{}
	if err := server.Client.Get(c.t.Context(), client.ObjectKeyFromObject(before), after); err != nil {
		c.t.Fatal(err)
	}
	if after.Generation != before.Generation {
		c.t.Errorf("Deployment %s has changed from %+v to %+v", before.Name, before.Spec.Template, after.Spec.Template)
	}
}

func (c *cluster) awaitReady(n int) {
	c.t.Helper()
	apiserver.Eventually(c.t, fmt.Sprintf("%d bridges are Ready", n), func(ctx context.Context) (bool, error) {
		ready, err := c.ready(ctx)
		return ready == n, err
	})
}

func (c *cluster) assertReady(n int) {
	c.t.Helper()
	if ready, err := c.ready(c.t.Context()); err != nil || ready != n {
		c.t.Errorf("%d bridges are Ready (%v); want %d", ready, err, n)
	}
}

func (c *cluster) ready(ctx context.Context) (n int, err error) {
	list := &v1alpha1.MQTTBridgeList{}
	err = server.Client.List(ctx, list, client.InNamespace(c.namespace))
	for i := range list.Items {
		if meta.IsStatusConditionTrue(list.Items[i].Status.Conditions, v1alpha1.ConditionReady) {
			n++
		}
	}
	return n, err
}

func (c *cluster) awaitImages(want map[string]int) {
	c.t.Helper()
	apiserver.Eventually(c.t, fmt.Sprintf("the images are %v", want), func(ctx context.Context) (bool, error) {
		got, err := c.images(ctx)
		return fmt.Sprint(got) == fmt.Sprint(want), err
	})
}

func (c *cluster) assertImages(want map[string]int) {
	c.t.Helper()
	if got, err := c.images(c.t.Context()); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		c.t.Errorf("the images are %v (%v); want %v", got, err, want)
	}
}

// assertManifests fails the test unless each manifest and pod have the hash of the template of
// their Deployment, also while the Deployment waits. A runner takes over a generation only then.
func (c *cluster) assertManifests() {
	c.t.Helper()
	deployments := &appsv1.DeploymentList{}
	if err := server.Client.List(c.t.Context(), deployments, client.InNamespace(c.namespace)); err != nil {
		c.t.Fatal(err)
	}
	for i := range deployments.Items {
		d, config, b := &deployments.Items[i], &corev1.ConfigMap{}, &v1alpha1.MQTTBridge{}
		if err := server.Client.Get(c.t.Context(), client.ObjectKeyFromObject(d), config); err != nil {
			c.t.Fatal(err)
		}
		if err := yaml.Unmarshal([]byte(config.Data[v1alpha1.ManifestKey]), b); err != nil {
			c.t.Fatal(err)
		}
		got, want := b.Annotations[manifest.AnnotationTemplateHash], d.Annotations[manifest.AnnotationTemplateHash]
		if got != want || want == "" {
			c.t.Errorf("the manifest of %s has the template hash %q; want %q", d.Name, got, want)
		}
		env := d.Spec.Template.Spec.Containers[0].Env
		if i := slices.IndexFunc(env, func(e corev1.EnvVar) bool { return e.Name == manifest.EnvTemplateHash }); i < 0 || env[i].Value != want {
			c.t.Errorf("the pod of %s has the variables %v; want the template hash %q", d.Name, env, want)
		}
	}
}

// images returns the number of Deployments by image.
func (c *cluster) images(ctx context.Context) (map[string]int, error) {
	list := &appsv1.DeploymentList{}
	err := server.Client.List(ctx, list, client.InNamespace(c.namespace))
	out := map[string]int{}
	for i := range list.Items {
		out[image(&list.Items[i])]++
	}
	return out, err
}

func (c *cluster) awaitEvent(reason, text string) {
	c.t.Helper()
	apiserver.Eventually(c.t, "the event "+reason, func(ctx context.Context) (bool, error) {
		for _, note := range c.events(ctx, reason) {
			if strings.Contains(note, text) {
				return true, nil
			}
		}
		return false, nil
	})
}

// events returns the notes of the events with a reason.
func (c *cluster) events(ctx context.Context, reason string) (notes []string) {
	c.t.Helper()
	list := &eventsv1.EventList{}
	if err := server.Client.List(ctx, list, client.InNamespace(c.namespace)); err != nil {
		c.t.Fatal(err)
	}
	for i := range list.Items {
		if list.Items[i].Reason == reason {
			notes = append(notes, list.Items[i].Note)
		}
	}
	return notes
}
