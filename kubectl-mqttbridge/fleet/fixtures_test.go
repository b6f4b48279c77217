// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/kubectl-mqttbridge/cluster"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(-d)) }

// example is a bridge of the examples.
type example struct {
	namespace, name string
	conditions      []metav1.Condition
	// change changes the object after it has been filled.
	change func(*v1alpha1.MQTTBridge)
	// rates are the messages per second, nil if the runner does not answer.
	rates *[2]float64
	// backlog is the number of messages for the remote side.
	backlog float64
}

func condition(kind string, is bool, reason, message string, since time.Duration) metav1.Condition {
	status := metav1.ConditionFalse
	if is {
		status = metav1.ConditionTrue
	}
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message, LastTransitionTime: ago(since)}
}

func forwarding(since time.Duration) metav1.Condition {
	return condition(v1alpha1.ConditionReady, true, v1alpha1.ReasonForwarding, "forwarding between plant and cloud-a", since)
}

const down = "the remote side has no connected server: cloud-a (mqtts://cloud-a.example:8883) failed: ConnectionRefused: no program listens on the port; start the server or correct the URL"

// examples are bridges in all states, without an order.
var examples = []example{
	{namespace: "north", name: "press-line", conditions: []metav1.Condition{forwarding(80 * time.Hour)}, rates: &[2]float64{412, 3.2}},
	{namespace: "north", name: "paint-shop", rates: &[2]float64{1840, 12}, conditions: []metav1.Condition{
		forwarding(6 * time.Hour),
		condition(v1alpha1.ConditionDegraded, true, v1alpha1.ReasonActiveOnBackup, "the remote side uses the backup cloud-b, because cloud-a failed: AuthenticationFailed", 38*time.Minute),
	}, change: func(b *v1alpha1.MQTTBridge) {
		onBackup(b)
		b.Status.Remote.LastFailover = &v1alpha1.FailoverRecord{
			From: "cloud-a", To: "cloud-b", Reason: v1alpha1.ReasonAuthenticationFailed, Time: metav1.NewMicroTime(now.Add(-38 * time.Minute)),
			DurationMilliseconds: ptr.To[int64](41), SilentMilliseconds: ptr.To[int64](0),
		}
		b.Status.Remote.Switches = ptr.To[int64](1)
	}},
	{namespace: "south", name: "boiler", rates: &[2]float64{0, 0}, backlog: 18230, conditions: []metav1.Condition{
		condition(v1alpha1.ConditionReady, false, v1alpha1.ReasonNotConnected, down, 4*time.Minute),
	}, change: func(b *v1alpha1.MQTTBridge) {
		b.Status.Remote.Active = nil
		b.Status.Remote.Servers[0] = v1alpha1.ServerStatus{
			Name: "cloud-a", URL: "mqtts://cloud-a.example:8883", State: v1alpha1.ServerFailed, Since: ago(4 * time.Minute),
			LastError: &v1alpha1.ServerError{Reason: v1alpha1.ReasonConnectionRefused, Message: "no program listens on the port; start the server or correct the URL"},
		}
		b.Status.Buffer = &v1alpha1.BufferStatus{LocalToRemote: &v1alpha1.BacklogStatus{State: v1alpha1.BacklogBuffering, Since: ago(4 * time.Minute)}}
	}},
	{namespace: "south", name: "kiln", conditions: []metav1.Condition{
		condition(v1alpha1.ConditionReady, false, v1alpha1.ReasonRunnerNotRunning, "no pod runs", 26*time.Hour),
		condition(v1alpha1.ConditionStalled, true, v1alpha1.ReasonPodFailing, "the image registry.example/runner:v9 cannot be pulled; correct runner.image", 26*time.Hour),
	}, change: func(b *v1alpha1.MQTTBridge) { b.Status.Runners, b.Status.Local, b.Status.Remote = nil, nil, nil }},
	{namespace: "south", name: "pumps", rates: &[2]float64{55, 0}, conditions: []metav1.Condition{
		forwarding(20 * time.Hour),
		condition(v1alpha1.ConditionStalled, true, v1alpha1.ReasonInvalidSpec, "spec.remote.preferredServer.name: cloud-z is no server of the side; the servers are cloud-a, cloud-b", 12*time.Minute),
	}, change: func(b *v1alpha1.MQTTBridge) { b.Generation = 8 }},
	{namespace: "north", name: "warehouse", rates: &[2]float64{9.5, 9.5}, conditions: []metav1.Condition{
		forwarding(9 * time.Minute), condition(v1alpha1.ConditionReconciling, true, v1alpha1.ReasonProgressing, "the runner applies generation 8", 20*time.Second),
	}, change: func(b *v1alpha1.MQTTBridge) { b.Generation, b.Status.ObservedGeneration = 8, 8 }},
	{namespace: "south", name: "old-line", conditions: []metav1.Condition{
		condition(v1alpha1.ConditionSuspended, true, v1alpha1.ReasonSuspended, "spec.suspend is true, and no pod is left", 300*time.Hour),
	}, change: func(b *v1alpha1.MQTTBridge) { b.Status.Runners, b.Status.Local, b.Status.Remote = nil, nil, nil }},
}

func onBackup(b *v1alpha1.MQTTBridge) {
	b.Status.Remote.Active = &v1alpha1.ActiveServer{Name: "cloud-b", URL: "mqtts://cloud-b.example:8883", Role: v1alpha1.RoleBackup, Place: 2, Since: ago(38 * time.Minute)}
	b.Status.Remote.Servers = []v1alpha1.ServerStatus{
		{
			Name: "cloud-a", URL: "mqtts://cloud-a.example:8883", State: v1alpha1.ServerFailed, Since: ago(38 * time.Minute),
			LastError: &v1alpha1.ServerError{Reason: v1alpha1.ReasonAuthenticationFailed, Message: "the server refuses the user name or the password; correct the Secret cloud-login"},
		},
		{Name: "cloud-b", URL: "mqtts://cloud-b.example:8883", State: v1alpha1.ServerActive, Since: ago(38 * time.Minute)},
	}
}

// object returns the object of an example.
func (e *example) object() *v1alpha1.MQTTBridge {
	b := &v1alpha1.MQTTBridge{ObjectMeta: metav1.ObjectMeta{Namespace: e.namespace, Name: e.name, Generation: 7, CreationTimestamp: ago(400 * time.Hour)}}
	pod := e.name + "-bridge-5f6d8"
	b.Status = v1alpha1.MQTTBridgeStatus{
		Conditions: e.conditions, ObservedGeneration: 7,
		Runners: []v1alpha1.RunnerStatus{{Pod: pod, Role: v1alpha1.RunnerActive, Since: ago(80 * time.Hour), Node: "edge-1", Version: "v1.4.0", Generation: 7}},
		Local: &v1alpha1.SideStatus{
			ClientID: "plantlocal", Active: &v1alpha1.ActiveServer{Name: "plant", URL: "mqtt://plant.example:1883", Role: v1alpha1.RolePrimary, Place: 1, Since: ago(80 * time.Hour)},
			Servers: []v1alpha1.ServerStatus{{Name: "plant", URL: "mqtt://plant.example:1883", State: v1alpha1.ServerActive, Since: ago(80 * time.Hour)}},
		},
		Remote: &v1alpha1.SideStatus{
			ClientID: "plantremote", Active: &v1alpha1.ActiveServer{Name: "cloud-a", URL: "mqtts://cloud-a.example:8883", Role: v1alpha1.RolePrimary, Place: 1, Since: ago(80 * time.Hour)},
			Servers: []v1alpha1.ServerStatus{
				{Name: "cloud-a", URL: "mqtts://cloud-a.example:8883", State: v1alpha1.ServerActive, Since: ago(80 * time.Hour)},
				{Name: "cloud-b", URL: "mqtts://cloud-b.example:8883", State: v1alpha1.ServerStandby, Since: ago(80 * time.Hour)},
			},
		},
	}
	if e.change != nil {
		e.change(b)
	}
	return b
}

// bridge returns the state of an example, with its counters.
func (e *example) bridge() Bridge {
	out := Of(e.object())
	if e.rates == nil {
		out.Unknown = "no runner has reported"
		return out
	}
	sample := func(at time.Time, seconds float64) *cluster.Sample {
		return &cluster.Sample{Pod: "p", Time: at, Directions: map[string]*cluster.Counts{
			cluster.LocalToRemote: {Forwarded: 5000 + seconds*e.rates[0], ForwardedBytes: seconds * e.rates[0] * 128, Backlog: e.backlog, BacklogBytes: e.backlog * 160, BacklogSeconds: min(e.backlog, 240)},
			cluster.RemoteToLocal: {Forwarded: 70 + seconds*e.rates[1], ForwardedBytes: seconds * e.rates[1] * 64, Dropped: 2},
		}}
	}
	out.Count(sample(now.Add(-10*time.Second), 0), sample(now, 10))
	return out
}

// exampleView returns the view of all examples, sorted.
func exampleView() *View {
	v := &View{}
	for i := range examples {
		v.Bridges = append(v.Bridges, examples[i].bridge())
	}
	v.Sort()
	return v
}
