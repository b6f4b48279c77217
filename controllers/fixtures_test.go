// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

const (
	localURL   = "mqtt://local:1883"
	primaryURL = "mqtt://a:1883"
	backupURL  = "mqtt://b:1883"
)

// epoch is when the tests' servers were connected.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// newBridge returns a bridge with one local server, and a primary and a backup on the
// remote side.
func newBridge(namespace, name string) *v1alpha1.MQTTBridge {
	return &v1alpha1.MQTTBridge{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.MQTTBridgeSpec{
			Local: v1alpha1.Side{Primary: v1alpha1.Server{URL: localURL}},
			Remote: v1alpha1.Side{
				Primary: v1alpha1.Server{URL: primaryURL},
				Backups: []v1alpha1.Server{{URL: backupURL}},
			},
			LocalToRemote: []v1alpha1.Rule{{Filter: "sensors/#"}},
		},
	}
}

// withDisk adds a buffer on disk. An empty class is the cluster's default class.
func withDisk(b *v1alpha1.MQTTBridge, size, class string) {
	b.Spec.Buffer = &v1alpha1.Buffer{Disk: &v1alpha1.DiskBuffer{Size: ptr.To(resource.MustParse(size)), StorageClassName: class}}
}

func serverStatus(name, url string, state v1alpha1.ServerState, failure ...string) v1alpha1.ServerStatus {
	s := v1alpha1.ServerStatus{Name: name, URL: url, State: state, Since: metav1.NewTime(epoch)}
	if len(failure) == 2 {
		s.LastError = &v1alpha1.ServerError{Reason: failure[0], Message: failure[1]}
	}
	return s
}

// side returns a side with servers. The server in the state Active is the server in use.
func side(servers ...v1alpha1.ServerStatus) *v1alpha1.SideStatus {
	s := &v1alpha1.SideStatus{Servers: servers}
	for i, server := range servers {
		if server.State == v1alpha1.ServerActive {
			s.Active = &v1alpha1.ActiveServer{Name: server.Name, URL: server.URL, Role: v1alpha1.RoleAt(i), Place: int32(i + 1), Since: server.Since}
		}
	}
	return s
}

// localUp is the local side, connected.
func localUp() *v1alpha1.SideStatus {
	return side(serverStatus("primary", localURL, v1alpha1.ServerActive))
}

// remoteOnPrimary is the remote side on its primary server.
func remoteOnPrimary() *v1alpha1.SideStatus {
	return side(
		serverStatus("primary", primaryURL, v1alpha1.ServerActive),
		serverStatus("backup-1", backupURL, v1alpha1.ServerStandby))
}

// remoteOnBackup is the remote side on its backup, after the primary refused the login.
func remoteOnBackup() *v1alpha1.SideStatus {
	return side(
		serverStatus("primary", primaryURL, v1alpha1.ServerFailed, v1alpha1.ReasonAuthenticationFailed, "the user name or password is wrong"),
		serverStatus("backup-1", backupURL, v1alpha1.ServerActive))
}

// remoteStandbyFailed is the remote side on its primary server, with a backup that failed a
// probe at the given time.
func remoteStandbyFailed(at time.Time) *v1alpha1.SideStatus {
	s := side(
		serverStatus("primary", primaryURL, v1alpha1.ServerActive),
		serverStatus("backup-1", backupURL, v1alpha1.ServerFailed, v1alpha1.ReasonConnectionRefused, "nothing listens there"))
	s.Servers[1].Since = metav1.NewTime(at)
	return s
}

// remoteDown is the remote side with every server failed.
func remoteDown() *v1alpha1.SideStatus {
	return side(
		serverStatus("primary", primaryURL, v1alpha1.ServerFailed, v1alpha1.ReasonAuthenticationFailed, "the user name or password is wrong"),
		serverStatus("backup-1", backupURL, v1alpha1.ServerFailed, v1alpha1.ReasonConnectionRefused, "nothing listens there"))
}

// withFailover adds the latest failover to a side.
func withFailover(s *v1alpha1.SideStatus, from, to string, at time.Time) *v1alpha1.SideStatus {
	s.Switches = ptr.To[int64](1)
	s.LastFailover = &v1alpha1.FailoverRecord{
		From: from, To: to, Reason: v1alpha1.ReasonConnectionClosed,
		Time: metav1.NewMicroTime(at), DurationMilliseconds: ptr.To[int64](42),
	}
	return s
}

// withSilence sets the time for which the lost server had not answered.
func withSilence(s *v1alpha1.SideStatus, milliseconds int64) *v1alpha1.SideStatus {
	s.LastFailover.SilentMilliseconds = &milliseconds
	return s
}

// withReason sets the reason of the latest failover of a side.
func withReason(s *v1alpha1.SideStatus, reason string) *v1alpha1.SideStatus {
	s.LastFailover.Reason = reason
	return s
}

// withRequestedSwitch adds a request for backup-1 to a side, answered at the epoch.
func withRequestedSwitch(s *v1alpha1.SideStatus, state v1alpha1.SwitchState) *v1alpha1.SideStatus {
	s.RequestedSwitch = &v1alpha1.RequestedSwitch{
		Server: "backup-1", Generation: 2, State: state, Message: "it fails its probe", Time: metav1.NewMicroTime(epoch),
	}
	return s
}

// runnerPod returns a pod of the bridge that runs and is ready.
func runnerPod(bridge *v1alpha1.MQTTBridge, name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: bridge.Namespace, Name: name, Labels: childLabels(bridge.Name),
		},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: ptr.To[int64](0), // There is no kubelet that would end it.
			Containers:                    []corev1.Container{{Name: runnerName, Image: testRunnerImage}},
		},
		Status: corev1.PodStatus{
			Phase:      corev1.PodRunning,
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		},
	}
}

// report is the part of the status that a runner applies.
type report struct {
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	Runners  []v1alpha1.RunnerStatus  `json:"runners,omitempty"`
	Local    *v1alpha1.SideStatus     `json:"local,omitempty"`
	Remote   *v1alpha1.SideStatus     `json:"remote,omitempty"`
	Deletion *v1alpha1.DeletionStatus `json:"deletion,omitempty"`

	LastTakeover *v1alpha1.TakeoverRecord `json:"lastTakeover,omitempty"`
}

// applyReport applies a report with the rights of the bridge's runner.
func applyReport(t *testing.T, bridge *v1alpha1.MQTTBridge, pod string, local, remote *v1alpha1.SideStatus) {
	t.Helper()
	runner := v1alpha1.RunnerStatus{Pod: pod, StartTime: metav1.NewTime(epoch), Generation: bridge.Generation}
	if err := tryReport(t, bridge, &runner, local, remote); err != nil {
		t.Fatalf("reporting as the runner: %v", err)
	}
}

// tryReport applies the report of a runner with the rights of the bridge's runner.
func tryReport(t *testing.T, bridge *v1alpha1.MQTTBridge, runner *v1alpha1.RunnerStatus, local, remote *v1alpha1.SideStatus) error {
	t.Helper()
	runner.Role = v1alpha1.RunnerActive
	ready := v1alpha1.ReadyCondition(runner, local, remote)
	return tryStatus(t.Context(), t, bridge, &report{
		Conditions: []metav1.Condition{ready}, Runners: []v1alpha1.RunnerStatus{*runner}, Local: local, Remote: remote,
	})
}

// tryStatus applies a status with the rights of the bridge's runner.
func tryStatus(ctx context.Context, t *testing.T, bridge *v1alpha1.MQTTBridge, r *report) error {
	t.Helper()
	c, err := client.New(asRunner(bridge.Namespace, bridge.Name), client.Options{Scheme: apiserver.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	for i := range r.Conditions {
		r.Conditions[i].LastTransitionTime = metav1.Now()
	}
	status, err := runtime.DefaultUnstructuredConverter.ToUnstructured(r)
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{Object: map[string]any{"status": status}}
	u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(bridgeKind))
	u.SetNamespace(bridge.Namespace)
	u.SetName(bridge.Name)
	return c.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(u),
		client.FieldOwner(v1alpha1.RunnerFieldManager), client.ForceOwnership)
}

// namespace creates a namespace for the test.
func namespace(t *testing.T) string {
	t.Helper()
	apiserver.Need(t, server)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	create(t, ns)
	return ns.Name
}

func create(t *testing.T, obj client.Object) {
	t.Helper()
	if err := server.Client.Create(t.Context(), obj); err != nil {
		t.Fatalf("creating %T %s: %v", obj, obj.GetName(), err)
	}
}

// createPod creates a pod as the ReplicaSet controller and the kubelet would.
func createPod(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	status := pod.Status
	create(t, pod)
	pod.Status = status
	updatePodStatus(t, pod)
}

func updatePodStatus(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	if err := server.Client.Status().Update(t.Context(), pod); err != nil {
		t.Fatalf("setting the status of pod %s: %v", pod.Name, err)
	}
}

// conditionIs reports whether a condition of the bridge has a status and reason.
func conditionIs(b *v1alpha1.MQTTBridge, conditionType string, status metav1.ConditionStatus, reason string) bool {
	if b == nil {
		return false
	}
	c := meta.FindStatusCondition(b.Status.Conditions, conditionType)
	return c != nil && c.Status == status && c.Reason == reason && c.ObservedGeneration == b.Generation
}

// awaitCondition waits until a condition has a status and reason.
func awaitCondition(t *testing.T, b *v1alpha1.MQTTBridge, conditionType string, status metav1.ConditionStatus, reason string) *v1alpha1.MQTTBridge {
	t.Helper()
	return awaitBridge(t, b, conditionType+" is "+string(status)+"/"+reason, func(got *v1alpha1.MQTTBridge) bool {
		return conditionIs(got, conditionType, status, reason)
	})
}

func awaitBridge(t *testing.T, b *v1alpha1.MQTTBridge, what string, wanted func(*v1alpha1.MQTTBridge) bool) *v1alpha1.MQTTBridge {
	t.Helper()
	return apiserver.Await(t, server.Client, &v1alpha1.MQTTBridgeList{}, client.ObjectKeyFromObject(b), what, wanted)
}

// forwardingBridge creates a bridge whose runner reports that it forwards.
func forwardingBridge(t *testing.T) (*v1alpha1.MQTTBridge, *corev1.Pod) {
	t.Helper()
	b := newBridge(namespace(t), "plant")
	create(t, b)
	pod := runnerPod(b, "plant-bridge-1")
	createPod(t, pod)
	completeRollout(t, b)
	applyReport(t, b, pod.Name, localUp(), remoteOnPrimary())
	b = awaitBridge(t, b, "Ready, and nothing left to reconcile", func(got *v1alpha1.MQTTBridge) bool {
		return conditionIs(got, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonForwarding) &&
			meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionReconciling) == nil
	})
	return b, pod
}
