// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/kubectl-mqttbridge/fleet"
)

func TestStatus_OfABridge_ShowsServersAndNumbersOfTheRunner(t *testing.T) {
	s := newSite(t)
	s.publish(20)
	plugin(t, "status", bridgeName, "-n", s.namespace).want(t, done, s.namespace+"/"+bridgeName+": Ready",
		"local side, client identifier", "remote side, client identifier", "plant", "cloud-a", "cloud-b", "cloud-c", "Active", "Standby",
		"local to remote", "DROPPED", s.pod, s.kubelet.node)

	var view fleet.View
	r := plugin(t, "status", bridgeName, "-n", s.namespace, "-o", "json", "--sample", "200ms")
	if err := json.Unmarshal([]byte(r.out), &view); err != nil || len(view.Bridges) != 1 {
		t.Fatalf("%v: %s%s", err, r.out, r.err)
	}
	if f := view.Bridges[0].LocalToRemote; f == nil || f.Forwarded != 20 || f.MessagesPerSecond == nil {
		t.Errorf("local to remote: %+v, want 20 forwarded messages and a rate", f)
	}
	if f := view.Bridges[0].RemoteToLocal; f == nil || f.Forwarded != 0 {
		t.Errorf("remote to local: %+v", f)
	}

	// While messages flow, the rate is not 0.
	ctx, stop := context.WithCancel(t.Context())
	flowing := make(chan struct{})
	go func() {
		defer close(flowing)
		for ctx.Err() == nil {
			s.publish(5) //nolint:contextcheck // it ends with the test
		}
	}()
	r = plugin(t, "status", "-n", s.namespace, "-o", "yaml", "--sample", "2s")
	stop()
	<-flowing
	if err := yaml.Unmarshal([]byte(r.out), &view); err != nil {
		t.Fatalf("%v: %s", err, r.out)
	}
	if f := view.Bridges[0].LocalToRemote; f == nil || f.MessagesPerSecond == nil || *f.MessagesPerSecond <= 0 || *f.BytesPerSecond < 100**f.MessagesPerSecond-1 {
		t.Errorf("the rates are %+v", f)
	}
}

func TestStatus_WithoutRightOrPod_ShowsTheStatusAndTheReason(t *testing.T) {
	s := newSite(t)
	const viewer = "status-viewer"
	allow(t, s.namespace, viewer, viewBridges)
	const missing = "the right to get pods/proxy in the namespace "
	plugin(t, "status", "-n", s.namespace, "--as", viewer).want(t, done, bridgeName, "Ready", "cloud-a", "note: no rates and backlog: "+missing+s.namespace+" is missing")
	plugin(t, "status", bridgeName, "-n", s.namespace, "--as", viewer).want(t, done, "cloud-a", "rates and numbers are not known: "+missing+s.namespace)
	plugin(t, "status", "-A", "--as", viewer).want(t, failed, "the right to list mqttbridges in all namespaces is missing", "The API server answers: ")
	plugin(t, "status", "-n", s.namespace, "--as", "nobody").want(t, failed, "the right to list mqttbridges in the namespace "+s.namespace+" is missing")
	plugin(t, "status", "-n", s.namespace, "--numbers=false").want(t, done, bridgeName)

	s.runner.Kill()
	plugin(t, "status", "-n", s.namespace).want(t, done, bridgeName, "Ready", "note: no rates and backlog of "+s.namespace+"/"+bridgeName+": the pod "+s.pod+" does not answer")
	plugin(t, "status", "missing", "-n", s.namespace).want(t, failed, "the namespace "+s.namespace+" has no bridge missing")
}

func TestStatus_OfAFleet_IsSortedByTroubleAndSelected(t *testing.T) {
	ns := namespace(t)
	plugin(t, "status", "-n", ns).want(t, done, "The namespace "+ns+" has no bridge; `kubectl mqttbridge status -A` lists all bridges.\n")
	plugin(t, "status", "-n", ns, "-l", "site=x").want(t, done, "The namespace "+ns+" has no bridge with the labels site=x; `kubectl mqttbridge status -A` lists all bridges.\n")
	plugin(t, "status", "-A", "-l", "site=x").want(t, done, "The cluster has no bridge with the labels site=x.\n")
	for i, reason := range []string{"", v1alpha1.ReasonNotConnected, v1alpha1.ReasonActiveOnBackup} {
		b := manifestOf(ns, fmt.Sprintf("bridge-%d", i), "mqtt://plant.example:1883", "mqtt://cloud.example:1883")
		b.Labels = map[string]string{"site": fmt.Sprintf("site-%d", i)}
		create(t, b)
		ready := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonForwarding, LastTransitionTime: metav1.Now()}
		status := v1alpha1.MQTTBridgeStatus{ObservedGeneration: b.Generation}
		switch reason {
		case v1alpha1.ReasonNotConnected:
			ready.Status, ready.Reason = metav1.ConditionFalse, reason
		case v1alpha1.ReasonActiveOnBackup:
			status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionDegraded, Status: metav1.ConditionTrue, Reason: reason, LastTransitionTime: metav1.Now()}}
		}
		status.Conditions = append(status.Conditions, ready)
		if err := setStatus(t.Context(), b, &status); err != nil {
			t.Fatal(err)
		}
	}
	r := plugin(t, "status", "-n", ns, "--exit-status")
	r.want(t, partly, "PROBLEM")
	var names []string
	for _, line := range strings.Split(strings.TrimSpace(r.out), "\n")[1:] {
		names = append(names, strings.Fields(line)[0])
	}
	if want := []string{"bridge-1", "bridge-2", "bridge-0"}; !slices.Equal(names, want) {
		t.Errorf("the order is %q, want %q:\n%s", names, want, r.out)
	}
	plugin(t, "status", "-A", "-o", "wide").want(t, done, "NAMESPACE", "VERSION", ns)
	if r := plugin(t, "status", "-n", ns, "-l", "site=site-2"); r.status != done || !strings.Contains(r.out, "bridge-2") || strings.Contains(r.out, "bridge-1") {
		t.Errorf("a selector: %+v", r)
	}
}

func TestStatus_Watch_ShowsChanges(t *testing.T) {
	s := newSite(t)
	ctx, stop := context.WithCancel(t.Context())
	results := make(chan result)
	go func() {
		results <- pluginWith(t, ctx, "", "status", "-n", s.namespace, "--watch", "--interval", "1s")
	}()
	time.Sleep(1500 * time.Millisecond)
	s.remoteA.Kill()
	s.await("the backup is in use", func(b *v1alpha1.MQTTBridge) bool {
		return b.Status.Remote.ActiveServer() != nil && b.Status.Remote.Active.Name == "cloud-b"
	})
	time.Sleep(2 * time.Second)
	stop()
	r := <-results
	r.want(t, done, "every 1s", "cloud-a", "cloud-b (backup)")
}

func TestStatus_Arguments_AreChecked(t *testing.T) {
	for want, args := range map[string][]string{
		`-o "xml"`:                     {"-o", "xml"},
		"--watch and -o json":          {"--watch", "-o", "json"},
		"NAME and --all-namespaces":    {"b", "-A"},
		"NAME and --selector":          {"b", "-l", "a=b"},
		"--interval 1ms is too short":  {"--interval", "1ms"},
		"--sample -1s is negative":     {"--sample", "-1s"},
		"unknown flag: --unknown":      {"--unknown"},
		`invalid argument "x"`:         {"--interval", "x"},
		`there is no command "statos"`: nil,
	} {
		if args = append([]string{"status"}, args...); len(args) == 1 {
			args = []string{"statos"}
		}
		plugin(t, args...).want(t, usage, want, "--help")
	}
	plugin(t).want(t, done, "Exit status:", "dashboard")
	plugin(t, "--version").want(t, done, "kubectl-mqttbridge ")
}
