// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// event creates an event about an object.
func event(t *testing.T, ns, kind, name, reason, message string, age time.Duration) {
	t.Helper()
	create(t, &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: ns, GenerateName: name + "."},
		InvolvedObject: corev1.ObjectReference{Kind: kind, Namespace: ns, Name: name},
		Reason:         reason, Message: message, Type: corev1.EventTypeWarning, LastTimestamp: metav1.NewTime(time.Now().Add(-age)), Count: 3,
	})
}

func TestEvents_OfABridge_IncludeItsChildObjects(t *testing.T) {
	ns := namespace(t)
	for _, name := range []string{"b", "b-bridge"} { // a bridge may have the name of a child object of another one
		create(t, manifestOf(ns, name, "mqtt://plant.example:1883", "mqtt://cloud.example:1883"))
	}
	plugin(t, "events", "-n", ns).want(t, done, "The namespace "+ns+" has no event of a bridge; `kubectl mqttbridge events -A` shows the events of all bridges.\n")
	plugin(t, "events", "b", "-n", ns).want(t, done, "The namespace "+ns+" has no event of the bridge b; Kubernetes keeps events for an hour by default.\n")
	event(t, ns, "MQTTBridge", "b", v1alpha1.EventFailedOver, "from cloud-a to cloud-b", time.Minute)
	event(t, ns, "Pod", "b-bridge-5f6d8", "FailedScheduling", "no node", 2*time.Minute)
	event(t, ns, "MQTTBridge", "b-bridge", v1alpha1.EventRecovered, "all is well", time.Hour)
	event(t, ns, "Pod", "other", "Pulled", "of another program", 0)
	r := plugin(t, "events", "b", "-n", ns)
	r.want(t, done, "FailedOver", "MQTTBridge/b", "from cloud-a to cloud-b", "Pod/b-bridge-5f6d8")
	if strings.Contains(r.out, "another program") || strings.Contains(r.out, "all is well") {
		t.Errorf("events of other objects:\n%s", r.out)
	}
	if strings.Index(r.out, "FailedScheduling") > strings.Index(r.out, "FailedOver") {
		t.Errorf("the latest event is not the last one:\n%s", r.out)
	}
	r = plugin(t, "events", "-A")
	r.want(t, done, "NAMESPACE", "FailedOver", "Recovered")
	if strings.Contains(r.out, "FailedScheduling") {
		t.Errorf("events of pods:\n%s", r.out)
	}
	plugin(t, "events", "missing", "-n", ns).want(t, failed, "has no bridge missing")
	const viewer = "event-viewer"
	allow(t, ns, viewer, viewBridges)
	plugin(t, "events", "-n", ns, "--as", viewer).want(t, failed, "the right to list events in the namespace "+ns+" is missing")

	ctx, stop := context.WithTimeout(t.Context(), 4*time.Second)
	defer stop()
	time.AfterFunc(time.Second, func() {
		event(t, ns, "MQTTBridge", "b", v1alpha1.EventFailedBack, "to cloud-a", 0)
	})
	r = pluginWith(t, ctx, "", "events", "b", "-n", ns, "--watch")
	r.want(t, done, "to cloud-a")
	if n := strings.Count(r.out, "from cloud-a to cloud-b"); n != 1 {
		t.Errorf("an event is shown %d times:\n%s", n, r.out)
	}
}

func TestLogs_OfABridge_AreOfItsPods(t *testing.T) {
	s := newSite(t)
	s.kubelet.setLog(s.pod, "one\ntwo\n")
	s.kubelet.setLog(s.pod+"/previous", "ended\n")
	in := func(args ...string) result { return plugin(t, append(args, "-n", s.namespace)...) }
	if r := in("logs", bridgeName); r.status != done || r.out != "one\ntwo\n" {
		t.Errorf("the log of a pod: %+v", r)
	}
	in("logs", bridgeName, "--previous").want(t, done, "ended")
	in("logs", bridgeName, "--follow", "--tail", "1", "--since", "10m").want(t, done, "two")
	const standby = "a-standby" // before the active one in the alphabet
	s.createPod(standby, s.kubelet.host)
	s.kubelet.setLog(standby, "three")
	if r := in("logs", bridgeName); !strings.HasPrefix(r.out, "["+s.pod+"] one\n["+s.pod+"] two\n["+standby+"] three") {
		t.Errorf("the logs of two pods: %+v", r)
	}
	const viewer = "log-viewer"
	allow(t, s.namespace, viewer, viewBridges, rule("", "list", "pods"))
	in("logs", bridgeName, "--as", viewer).want(t, failed, "the right to get pods/log in the namespace "+s.namespace+" is missing")
	in("logs", bridgeName, "--tail", "-2").want(t, usage, "--tail -2")
	create(t, manifestOf(s.namespace, "idle", "mqtt://plant.example:1883", "mqtt://cloud.example:1883"))
	in("logs", "idle").want(t, failed, "idle has no pod")
}

func TestDashboard_OfABridge_ForwardsToTheActiveRunner(t *testing.T) {
	s := newSite(t)
	const viewer = "dashboard-viewer"
	allow(t, s.namespace, viewer, viewBridges)
	plugin(t, "dashboard", bridgeName, "-n", s.namespace, "--as", viewer).want(t, failed, "the right to create pods/portforward in the namespace "+s.namespace+" is missing")
	create(t, manifestOf(s.namespace, "idle", "mqtt://plant.example:1883", "mqtt://cloud.example:1883"))
	plugin(t, "dashboard", "idle", "-n", s.namespace).want(t, failed, "no runner has reported yet")

	used, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = used.Close() }()
	port := strconv.Itoa(used.Addr().(*net.TCPAddr).Port)
	plugin(t, "dashboard", bridgeName, "-n", s.namespace, "--port", port).want(t, failed,
		"listen tcp4 127.0.0.1:"+port+": bind: address already in use; choose another port by --port, or omit it for any free port")

	cmd := exec.CommandContext(t.Context(), bin+"/kubectl-mqttbridge", "dashboard", bridgeName, "-n", s.namespace)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 512)
	n, err := output.Read(first)
	url := regexp.MustCompile(`http://127\.0\.0\.1:\d+/`).FindString(string(first[:n]))
	if url == "" {
		t.Fatalf("%v: %s", err, first[:n])
	}
	response, err := http.Get(url + "status")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	var status v1alpha1.MQTTBridgeStatus
	if err != nil || json.Unmarshal(body, &status) != nil || status.Remote.ActiveServer() == nil {
		t.Errorf("%v: the runner answers %s", err, body)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, output)
	if err := cmd.Wait(); err != nil {
		t.Errorf("the end by Ctrl-C: %v", err)
	}
}

func TestCompletion_OfNamesAndServers_ReadsTheCluster(t *testing.T) {
	ns := namespace(t)
	create(t, manifestOf(ns, "plant-to-cloud", "mqtt://plant.example:1883", "mqtt://cloud.example:1883", "mqtt://spare.example:1883"))
	create(t, manifestOf(ns, "second", "mqtt://plant.example:1883", "mqtt://cloud.example:1883"))
	complete := func(args ...string) []string {
		t.Helper()
		// As kubectl does: it runs the script with the arguments after the name of the plugin.
		cmd := exec.CommandContext(t.Context(), bin+"/kubectl_complete-mqttbridge", args...)
		cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "PATH="+bin+":"+os.Getenv("PATH"))
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%q: %v", args, err)
		}
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		return lines[:len(lines)-1] // the last line is a directive
	}
	for _, c := range []struct {
		args, want []string
	}{
		{[]string{"status", "-n", ns, ""}, []string{"plant-to-cloud", "second"}},
		{[]string{"suspend", "-n", ns, "second", ""}, []string{"plant-to-cloud"}},
		{[]string{"logs", "-n", ns, "second", ""}, nil},
		{[]string{"switch", "-n", ns, "plant-to-cloud", ""}, []string{"plant\tlocal", "cloud-a\tremote", "cloud-b\tremote"}},
		{[]string{"switch", "-n", ns, "--side", "local", "plant-to-cloud", ""}, []string{"plant\tlocal"}},
		{[]string{"switch", "--side", ""}, []string{"local", "remote"}},
		{[]string{"status", "-o", ""}, []string{"wide", "json", "yaml"}},
		{[]string{"explain", "-n", ns, "--bridge", ""}, []string{"plant-to-cloud", "second"}},
		{[]string{"status", "-n", "no-such-namespace", ""}, nil},
	} {
		if got := complete(c.args...); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.args, got, c.want)
		}
	}
	if got := complete("status", "--namespace", ""); !slices.Contains(got, ns) {
		t.Errorf("the namespaces are %q", got)
	}
	if got := complete("sus"); len(got) != 1 || !strings.HasPrefix(got[0], "suspend\t") {
		t.Errorf("the commands are %q", got)
	}
}

// kubectl finds the plugin and its completion.
func TestPlugin_OfKubectl_IsFound(t *testing.T) {
	ns := namespace(t)
	create(t, manifestOf(ns, "b", "mqtt://plant.example:1883", "mqtt://cloud.example:1883"))
	kubectl := apiserver.Need(t, server).Tool("kubectl")
	for want, args := range map[string][]string{
		"NotReady":             {"mqttbridge", "status", "-n", ns},
		"kubectl mqttbridge [": {"mqttbridge", "--help"},
		"second":               {"__complete", "mqttbridge", "status", "-n", ns, ""},
	} {
		if args[0] == "__complete" {
			create(t, manifestOf(ns, "second", "mqtt://plant.example:1883", "mqtt://cloud.example:1883"))
		}
		cmd := exec.CommandContext(t.Context(), kubectl, args...)
		cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "PATH="+bin+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("kubectl %q: %v: %s", args, err, out)
		}
	}
}
