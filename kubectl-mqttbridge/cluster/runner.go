// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

const (
	// Container is the name of the container of the runner.
	Container = "bridge-runner"
	// defaultPort is the port of a runner without metricsPort.
	defaultPort = 8080
	// answerTimeout is the longest time to wait for the answer of a runner. A NetworkPolicy may drop
	// the packets from the API server to the pod.
	answerTimeout = 5 * time.Second
)

// errNoRunner is the error for a bridge that no runner reports on.
var errNoRunner = errors.New("no runner has reported yet")

// Port returns the port on which the runners of a bridge serve their state.
func Port(b *v1alpha1.MQTTBridge) int32 {
	if b.Spec.Runner != nil && b.Spec.Runner.MetricsPort != nil {
		return *b.Spec.Runner.MetricsPort
	}
	return defaultPort
}

// ActivePod returns the pod of the active runner.
func ActivePod(b *v1alpha1.MQTTBridge) (string, error) {
	runner := b.Status.ActiveRunner()
	if runner == nil {
		return "", errNoRunner
	}
	return runner.Pod, nil
}

// Ask returns the answer of a pod of a bridge to a GET request of a path, by the proxy of the API
// server.
func (c *Client) Ask(ctx context.Context, b *v1alpha1.MQTTBridge, pod, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	answer, err := c.Kube.CoreV1().Pods(b.Namespace).ProxyGet("http", pod, strconv.Itoa(int(Port(b))), path, nil).DoRaw(ctx)
	switch {
	case apierrors.IsForbidden(err):
		return nil, Explain(err, "get", "pods/proxy", b.Namespace)
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("the pod %s has not answered within %s; a NetworkPolicy may refuse the API server", pod, answerTimeout)
	case err != nil:
		return nil, fmt.Errorf("the pod %s does not answer: %w", pod, err)
	}
	return answer, nil
}

// Pods returns the runner pods of a bridge, the active one first.
func (c *Client) Pods(ctx context.Context, b *v1alpha1.MQTTBridge) ([]corev1.Pod, error) {
	selector := labels.Set{"app.kubernetes.io/name": Container, "app.kubernetes.io/instance": b.Name}.String()
	list, err := c.Kube.CoreV1().Pods(b.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, Explain(err, "list", "pods", b.Namespace)
	}
	active, _ := ActivePod(b)
	slices.SortFunc(list.Items, func(a, b corev1.Pod) int {
		switch {
		case a.Name == active:
			return -1
		case b.Name == active:
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	return list.Items, nil
}

// Logs opens the log of a pod.
func (c *Client) Logs(ctx context.Context, namespace, pod string, options *corev1.PodLogOptions) (io.ReadCloser, error) {
	stream, err := c.Kube.CoreV1().Pods(namespace).GetLogs(pod, options).Stream(ctx)
	if err != nil {
		return nil, Explain(err, "get", "pods/log", namespace)
	}
	return stream, nil
}

// Events returns the events of a namespace, or of all namespaces if it is empty, that keep selects,
// oldest first.
func (c *Client) Events(ctx context.Context, namespace string, keep func(*corev1.Event) bool) ([]corev1.Event, error) {
	options := metav1.ListOptions{Limit: pageSize}
	var out []corev1.Event
	for {
		page, err := c.Kube.CoreV1().Events(namespace).List(ctx, options)
		if err != nil {
			return nil, Explain(err, "list", "events", namespace)
		}
		for i := range page.Items {
			if keep(&page.Items[i]) {
				out = append(out, page.Items[i])
			}
		}
		if options.Continue = page.Continue; options.Continue == "" {
			break
		}
	}
	slices.SortStableFunc(out, func(a, b corev1.Event) int { return EventTime(&a).Compare(EventTime(&b)) })
	return out, nil
}

// EventTime returns the time at which an event was last seen.
func EventTime(e *corev1.Event) time.Time {
	switch {
	case e.Series != nil:
		return e.Series.LastObservedTime.Time
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp.Time
	case !e.EventTime.IsZero():
		return e.EventTime.Time
	}
	return e.CreationTimestamp.Time
}

// AboutBridge reports whether an event is about a bridge, one of its child objects or a pod of
// them. An empty name stands for all bridges, without their child objects.
func AboutBridge(e *corev1.Event, name string) bool {
	of := &e.InvolvedObject
	switch {
	case of.Kind == "MQTTBridge":
		return name == "" || of.Name == name
	case name == "":
		return false
	case slices.Contains(childKinds, of.Kind):
		return of.Name == v1alpha1.ChildName(name)
	}
	return AboutDeployment(e, v1alpha1.ChildName(name))
}

// childKinds are the kinds of the child objects of a bridge, without the Deployment.
var childKinds = []string{"ConfigMap", "Lease", "NetworkPolicy", "PersistentVolumeClaim", "PodDisruptionBudget", "Role", "RoleBinding", "ServiceAccount"}

// AboutDeployment reports whether an event is about a Deployment, one of its ReplicaSets or one of their
// pods. Another object may have a name that begins with the name of the Deployment.
func AboutDeployment(e *corev1.Event, name string) bool {
	of := &e.InvolvedObject
	switch of.Kind {
	case "Deployment":
		return of.Name == name
	case "ReplicaSet", "Pod":
		rest, ok := strings.CutPrefix(of.Name, name+"-")
		return ok && generated.MatchString(rest)
	}
	return false
}

// generated matches the part that Kubernetes adds to the name of a Deployment for a ReplicaSet, and for a
// pod of it. It consists of the characters of k8s.io/apimachinery/pkg/util/rand, which are no vowels.
var generated = regexp.MustCompile(`^[bcdfghjklmnpqrstvwxz2456789]{1,10}(-[bcdfghjklmnpqrstvwxz2456789]{5})?$`)
