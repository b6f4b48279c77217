// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// cluster takes the role of the Deployment controller, the kubelet and the runners in a
// namespace of the API server. The image imageBad cannot be pulled.
type cluster struct {
	t         *testing.T
	namespace string

	templates map[string]string  // by name, the template of the pod of a Deployment that exists
	owners    map[types.UID]bool // the bridges that the test has created

	mu   sync.Mutex      // guards the fields below
	down map[string]bool // by name, the Deployments whose pod was replaced and is not ready
	most int             // the largest number of these Deployments so far
	// broken and firstV2 are the first Deployments that got imageBad and imageV2.
	broken, firstV2 string
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "fleet-"}}
	if err := server.Client.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, namespace: namespace.Name, templates: map[string]string{}, down: map[string]bool{}}
	c.runManifests()
	w, err := server.Client.Watch(t.Context(), &appsv1.DeploymentList{}, client.InNamespace(c.namespace))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.run(w)
	}()
	t.Cleanup(func() {
		w.Stop()
		<-ended
		// The operator of the next test must not see the bridges.
		if err := server.Client.DeleteAllOf(context.Background(), &v1alpha1.MQTTBridge{}, client.InNamespace(c.namespace)); err != nil {
			t.Error(err)
		}
		if err := server.Client.DeleteAllOf(context.Background(), &appsv1.Deployment{}, client.InNamespace(c.namespace)); err != nil {
			t.Error(err)
		}
	})
	return c
}

// run handles the changes of Deployments until the watch ends.
func (c *cluster) run(w watch.Interface) {
	for e := range w.ResultChan() {
		d, ok := e.Object.(*appsv1.Deployment)
		if !ok {
			continue
		}
		if e.Type == watch.Deleted {
			delete(c.templates, d.Name)
			continue
		}
		template, err := json.Marshal(d.Spec.Template)
		if err != nil {
			c.t.Error(err)
		}
		old, exists := c.templates[d.Name]
		replaced := old != string(template)
		c.templates[d.Name] = string(template)
		c.record(d, replaced && exists)
		switch {
		case replaced && rolls(d):
			err = c.rollPods(context.Background(), d)
		case replaced:
			err = c.replacePod(context.Background(), d)
		case d.Status.ObservedGeneration < d.Generation && rolls(d):
			err = observe(context.Background(), d)
		case d.Status.ObservedGeneration < d.Generation:
			err = setStatus(context.Background(), d, d.Status.AvailableReplicas)
		}
		if err != nil {
			c.t.Errorf("reconciling Deployment %s: %v", d.Name, err)
		}
	}
}

// setStatus sets the status of a Deployment whose pod is of the current template.
func setStatus(ctx context.Context, d *appsv1.Deployment, available int32) error {
	patch := fmt.Appendf(nil, `{"status":{"observedGeneration":%d,"replicas":1,"updatedReplicas":1,"readyReplicas":%d,"availableReplicas":%d}}`, d.Generation, available, available)
	return server.Client.Status().Patch(ctx, d, client.RawPatch("application/merge-patch+json", patch))
}

// record counts the Deployments that are down after a replacement of their pods.
func (c *cluster) record(d *appsv1.Deployment, replaced bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if replaced {
		c.down[d.Name] = true
		switch {
		case image(d) == imageBad && c.broken == "":
			c.broken = d.Name
		case image(d) == imageV2 && c.firstV2 == "":
			c.firstV2 = d.Name
		}
	}
	if !replaced && d.Status.ObservedGeneration == d.Generation && d.Status.AvailableReplicas >= 1 {
		delete(c.down, d.Name)
	}
	c.most = max(c.most, len(c.down))
}

func (c *cluster) mostDown() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.most
}

// assertBrokenFirst fails the test if the first Deployment with imageV2 was not the Deployment
// with imageBad.
func (c *cluster) assertBrokenFirst() {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.firstV2 != c.broken {
		c.t.Errorf("the first bridge with the correct image is %s; want %s, which the wrong image has stopped", c.firstV2, c.broken)
	}
}

// replacePod replaces the pod of a Deployment as the strategy Recreate does.
func (c *cluster) replacePod(ctx context.Context, d *appsv1.Deployment) error {
	bridge := d.Labels["app.kubernetes.io/instance"]
	if err := server.Client.DeleteAllOf(ctx, &corev1.Pod{}, client.InNamespace(c.namespace),
		client.MatchingLabels{"app.kubernetes.io/instance": bridge}, client.GracePeriodSeconds(0)); err != nil {
		return err
	}
	name, works := fmt.Sprintf("%s-%d", d.Name, d.Generation), image(d) != imageBad
	if err := c.startPod(ctx, d, name); err != nil {
		return err
	}
	if works {
		if err := c.report(ctx, bridge, name); err != nil {
			return err
		}
	}
	available := int32(0)
	if works {
		available = 1
	}
	return setStatus(ctx, d, available)
}

// startPod creates a pod of a Deployment, which runs unless its image cannot be pulled.
func (c *cluster) startPod(ctx context.Context, d *appsv1.Deployment, name string) error {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: name, Labels: d.Spec.Template.Labels},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: ptr.To[int64](0),
			Containers:                    []corev1.Container{{Name: "bridge-runner", Image: image(d)}},
		},
	}
	if err := server.Client.Create(ctx, pod); err != nil {
		return err
	}
	pod.Status = podStatus(image(d) != imageBad)
	return server.Client.Status().Update(ctx, pod)
}

func podStatus(works bool) corev1.PodStatus {
	if works {
		return corev1.PodStatus{
			Phase:      corev1.PodRunning,
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		}
	}
	return corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{
		Name:  "bridge-runner",
		State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "Back-off pulling image"}},
	}}}
}

// report applies the report of a runner that is connected on both sides, with its warm standbys.
func (c *cluster) report(ctx context.Context, bridge, pod string, standbys ...string) error {
	side := func(name, url string) *v1alpha1.SideStatus {
		now := metav1.Now()
		return &v1alpha1.SideStatus{
			Servers: []v1alpha1.ServerStatus{{Name: name, URL: url, State: v1alpha1.ServerActive, Since: now}},
			Active:  &v1alpha1.ActiveServer{Name: name, URL: url, Role: v1alpha1.RolePrimary, Place: 1, Since: now},
		}
	}
	local, remote := side("local", "mqtt://local:1883"), side("remote", "mqtt://remote:1883")
	b := &v1alpha1.MQTTBridge{}
	if err := server.Client.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: bridge}, b); err != nil {
		return err
	}
	runner := &v1alpha1.RunnerStatus{Pod: pod, Role: v1alpha1.RunnerActive, StartTime: metav1.Now(), Generation: b.Generation}
	runners := []v1alpha1.RunnerStatus{*runner}
	for _, standby := range standbys {
		runners = append(runners, v1alpha1.RunnerStatus{Pod: standby, Role: v1alpha1.RunnerStandby, Warm: ptr.To(true)})
	}
	return c.applyReport(ctx, bridge, "", v1alpha1.ReadyCondition(runner, local, remote), &v1alpha1.MQTTBridgeStatus{
		Runners: runners, Local: local, Remote: remote,
	})
}

// applyReport applies a report with the condition Ready, as the runner's field manager. The API
// server refuses it if the bridge has another resource version, unless the version is empty.
func (c *cluster) applyReport(ctx context.Context, bridge, version string, ready metav1.Condition, report *v1alpha1.MQTTBridgeStatus) error {
	ready.LastTransitionTime = metav1.Now()
	report.Conditions = []metav1.Condition{ready}
	status, err := runtime.DefaultUnstructuredConverter.ToUnstructured(report)
	if err != nil {
		return err
	}
	u := &unstructured.Unstructured{Object: map[string]any{"status": status}}
	u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("MQTTBridge"))
	u.SetNamespace(c.namespace)
	u.SetName(bridge)
	u.SetResourceVersion(version)
	return server.Client.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(u),
		client.FieldOwner(v1alpha1.RunnerFieldManager), client.ForceOwnership)
}

func image(d *appsv1.Deployment) string { return d.Spec.Template.Spec.Containers[0].Image }
