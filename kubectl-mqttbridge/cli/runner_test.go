// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/command"
)

// The plugin gives the same results as the runner.
func TestCommandsOfTheRunner_OnFiles_GiveTheSameResults(t *testing.T) {
	ns := namespace(t)
	b := manifestOf(ns, "b", "mqtt://127.0.0.1:1", "mqtt://127.0.0.1:2")
	b.APIVersion, b.Kind = "mqttbridge.io/v1alpha1", "MQTTBridge"
	data, err := yaml.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	valid, invalid, nanomq := filepath.Join(dir, "valid.yaml"), filepath.Join(dir, "invalid.yaml"), filepath.Join(dir, "nanomq.conf")
	for file, text := range map[string]string{
		valid: string(data), invalid: strings.Replace(string(data), "sensors/#", "sensors#", 1),
		nanomq: "bridges.mqtt.a {\n  server = \"mqtt-tcp://cloud.example:1883\"\n  forwards = [{remote_topic = \"\", local_topic = \"a/#\", qos = 1}]\n  unknown_key = 1\n}\n",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"check", "-f", valid},
		{"check", "-f", valid, "-f", invalid},
		{"check", "-f", valid, "-o", "json"},
		{"check", "-f", filepath.Join(dir, "missing")},
		{"explain", "-f", valid, "sensors/t1", "other", "--qos", "1", "--retain"},
		{"explain", "-f", invalid, "a"},
		{"import", "--from", "nanomq", nanomq},
	} {
		var out, fault bytes.Buffer
		var status int
		switch args[0] {
		case "check":
			status = command.RunCheck(t.Context(), args[1:], nil, &out, &fault)
		case "explain":
			status = command.RunExplain(args[1:], nil, &out, &fault)
		case "import":
			status = command.RunImport(args[1:], nil, &out, &fault)
		}
		got := plugin(t, args...)
		if got.status != status || got.out != out.String() {
			t.Errorf("%q: status %d, want %d:\n%s\nwant\n%s", args, got.status, status, got.out, &out)
		}
		if strings.Contains(got.err, "bridge-runner "+args[0]) {
			t.Errorf("%q names another program: %s", args, got.err)
		}
	}
	pluginWith(t, t.Context(), string(data), "check", "-f", "-").want(t, done, "-:1: the manifest of "+ns+"/b is valid")
	plugin(t, "check", "-f", valid, "--connect").want(t, partly, "ConnectionRefused")
}

func TestCommandsOfTheRunner_OnBridgesOfTheCluster_ReadTheirManifests(t *testing.T) {
	s := newSite(t)
	in := func(args ...string) result { return plugin(t, append(args, "-n", s.namespace)...) }
	file := "mqttbridge/" + s.namespace + "/" + bridgeName
	in("check", bridgeName).want(t, done, file+":1: the manifest of "+s.namespace+"/"+bridgeName+" is valid")
	// cloud-c has no server. The check never uses the client identifier of the running bridge.
	in("check", bridgeName, "--connect").want(t, partly, "local server plant", "remote server cloud-b", "usable", "ConnectionRefused")
	before := s.bridge().Status.Remote
	in("check", bridgeName, "--connect", "--client-id", before.ClientID).want(t, partly, "client identifier")
	if !s.bridge().Status.Remote.Active.Since.Equal(&before.Active.Since) {
		t.Error("the check has disturbed the bridge")
	}
	in("explain", "sensors/t1", "-b", bridgeName).want(t, done, `publishes "plant1/sensors/t1"`)
	create(t, manifestOf(s.namespace, "second", "mqtt://plant.example:1883", "mqtt://cloud.example:1883"))
	in("explain", "sensors/t1").want(t, done, "bridge "+s.namespace+"/"+bridgeName, "bridge "+s.namespace+"/second")
	in("explain", bridgeName, "sensors/t1").want(t, done, `publishes "plant1/sensors/t1"`,
		"note: "+bridgeName+" is also the name of a bridge, and is explained as a topic; to explain the topics for this bridge only, use --bridge "+bridgeName)
	in("explain", "sensors/#", "-b", bridgeName).want(t, usage, `"sensors/#" is not the topic of a message`)
	in("explain", "a", "-b", bridgeName, "-f", "x").want(t, usage, "exclude each other")
	in("explain", "a", "-b", "missing").want(t, failed, "has no bridge missing")
	plugin(t, "explain", "a", "-n", namespace(t)).want(t, failed, "has no bridge; name another one by -n, or a file by -f")
	in("check").want(t, usage, "name a file by -f, or a bridge of the cluster")
	in("check", bridgeName, "--publish", "a").want(t, usage, "--publish and --client-id need --connect")
	in("import").want(t, usage, "name at least one FILE")
}

// The rules pass through the API server and a second form of YAML.
func TestExplain_BridgeOfTheCluster_IsTheSameAsOfItsFile(t *testing.T) {
	ns := namespace(t)
	b := manifestOf(ns, "b", "mqtt://plant.example:1883", "mqtt://cloud.example:1883")
	b.APIVersion, b.Kind = "mqttbridge.io/v1alpha1", "MQTTBridge"
	b.Spec.LocalToRemote = []v1alpha1.Rule{
		{Filter: "#", Topic: "yes", Name: "null"},
		{Filter: "+/ü ///#", Topic: "1e3/${1}: ${2}", Exclude: []string{"- a", "'\"", "<<"}},
		{Filter: "\u2028/+", Topic: "${1}\u0085", QoS: ptr.To[int32](2)},
		{Filter: "~", Topic: strings.Repeat("long ", 100)},
		{Filter: "a: b/- c/#", Retain: ptr.To(v1alpha1.RetainSet)},
	}
	b.Spec.RemoteToLocal = []v1alpha1.Rule{{Filter: "+/#", Topic: "back/${topic}"}}
	data, err := yaml.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "b.yaml")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	create(t, b)
	topics := []string{"a", "~", "x/- a", "x/ü ///y", "\u2028/z", "a: b/- c/d", "yes", "1e3/x: y"}
	var want, fault bytes.Buffer
	if status := command.RunExplain(append([]string{"-f", file, "--retain"}, topics...), nil, &want, &fault); status != done {
		t.Fatal(fault.String())
	}
	got := plugin(t, append([]string{"explain", "-n", ns, "-b", "b", "--retain"}, topics...)...)
	if got.status != done || got.out != want.String() {
		t.Errorf("exit status %d: %s%s\nwant\n%s", got.status, got.out, got.err, &want)
	}
}
