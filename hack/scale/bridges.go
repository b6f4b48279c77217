// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

const (
	hubA      = "mqtts://hub-a.example:8883"
	hubB      = "mqtts://hub-b.example:8883"
	hubBackup = "mqtts://hub-backup.example:8883"
)

// usesHubA reports whether the primary server of bridge i is hub A, the server that the burst
// loses. 30 % of the bridges use it.
func usesHubA(i int) bool { return i%10 < 3 }

// bridgeName returns the namespace and name of bridge i.
func bridgeName(i, namespaces int) (namespace, name string) {
	return fmt.Sprintf("plants-%d", i%namespaces), fmt.Sprintf("plant-%05d", i)
}

// newBridge returns bridge i: a server of its own on the local side, and a hub with a backup on the
// remote side.
func newBridge(i, namespaces int) *v1alpha1.MQTTBridge {
	namespace, name := bridgeName(i, namespaces)
	hub := hubB
	if usesHubA(i) {
		hub = hubA
	}
	return &v1alpha1.MQTTBridge{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.MQTTBridgeSpec{
			Local: v1alpha1.Side{Primary: v1alpha1.Server{URL: fmt.Sprintf("mqtt://%s.broker:1883", name)}},
			Remote: v1alpha1.Side{
				Primary: v1alpha1.Server{URL: hub},
				Backups: []v1alpha1.Server{{URL: hubBackup}},
				Credentials: &v1alpha1.Credentials{
					Username: &v1alpha1.UsernameSource{SecretKeyRef: &v1alpha1.KeyReference{Name: "hub-login"}},
					Password: &v1alpha1.SecretSource{SecretKeyRef: v1alpha1.KeyReference{Name: "hub-login"}},
				},
				TLS: &v1alpha1.TLS{CA: &v1alpha1.CASource{ConfigMapKeyRef: &v1alpha1.KeyReference{Name: "hub-ca"}}},
			},
			LocalToRemote: []v1alpha1.Rule{{Filter: "sensors/#", Topic: name + "/${topic}"}, {Filter: "alarms/#", Topic: name + "/${topic}"}},
			RemoteToLocal: []v1alpha1.Rule{{Filter: "commands/" + name + "/#"}},
		},
	}
}

// report is the part of the status that a runner applies.
type report struct {
	Conditions []metav1.Condition      `json:"conditions,omitempty"`
	Runners    []v1alpha1.RunnerStatus `json:"runners,omitempty"`
	Local      *v1alpha1.SideStatus    `json:"local,omitempty"`
	Remote     *v1alpha1.SideStatus    `json:"remote,omitempty"`
}

// newReport returns the status that the runner of bridge i in a pod applies when it runs a generation
// and uses a server of the remote side: 0 is the primary server, 1 the backup after a failover.
func newReport(i, namespaces int, pod *corev1.Pod, generation int64, active int) (*unstructured.Unstructured, error) {
	b := newBridge(i, namespaces)
	started, now := pod.CreationTimestamp.Time, time.Now()
	local, remote := sideStatus(&b.Spec.Local, 0, started), sideStatus(&b.Spec.Remote, active, started)
	local.Switches, remote.Switches = ptr.To[int64](0), ptr.To[int64](0)
	runner := &v1alpha1.RunnerStatus{
		Pod: pod.Name, Role: v1alpha1.RunnerActive, Since: metav1.NewTime(started), PodTime: pod.CreationTimestamp, Node: pod.Spec.NodeName, Version: "v0.2.0 (0123456789ab)",
		Generation: generation, StartTime: metav1.NewTime(started), ReportTime: metav1.NewTime(now),
	}
	if active > 0 {
		remote.Switches = ptr.To[int64](1)
		remote.LastFailover = &v1alpha1.FailoverRecord{
			From: remote.Servers[0].Name, To: remote.Servers[active].Name, Reason: v1alpha1.ReasonConnectionClosed,
			Time: metav1.NewMicroTime(now), DurationMilliseconds: ptr.To[int64](57),
		}
	}
	ready := v1alpha1.ReadyCondition(runner, local, remote)
	ready.LastTransitionTime = metav1.NewTime(started)
	status, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&report{
		Conditions: []metav1.Condition{ready},
		Runners:    []v1alpha1.RunnerStatus{*runner}, Local: local, Remote: remote,
	})
	if err != nil {
		return nil, fmt.Errorf("making a report: %w", err)
	}
	u := &unstructured.Unstructured{Object: map[string]any{"status": status}}
	u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("MQTTBridge"))
	u.SetNamespace(b.Namespace)
	u.SetName(b.Name)
	return u, nil
}

// sideStatus returns a side that uses its server number active. The servers before it have failed.
func sideStatus(s *v1alpha1.Side, active int, since time.Time) *v1alpha1.SideStatus {
	out := &v1alpha1.SideStatus{}
	names := s.ServerNames()
	for i, server := range s.Servers() {
		status := v1alpha1.ServerStatus{Name: names[i], URL: server.URL, State: v1alpha1.ServerStandby, Since: metav1.NewTime(since)}
		switch {
		case i == active:
			status.State = v1alpha1.ServerActive
			out.Active = &v1alpha1.ActiveServer{Name: names[i], URL: server.URL, Role: v1alpha1.RoleAt(i), Place: int32(i + 1), Since: metav1.NewTime(since)}
		case i < active:
			status.State = v1alpha1.ServerFailed
			status.LastError = &v1alpha1.ServerError{Reason: v1alpha1.ReasonConnectionClosed, Message: "the server has closed the connection"}
		}
		out.Servers = append(out.Servers, status)
	}
	return out
}
