// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// The test data are all samples and all valid test manifests of release 0.1.
func TestManifests_EachManifestOfBefore_IsValidNow(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			before, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			now := converted(t, string(before))
			if again := converted(t, now); again != now {
				t.Errorf("converted twice:\n%s\nonce:\n%s", again, now)
			}
			for _, document := range strings.Split(now, "\n---\n") {
				check(t, document)
			}
		})
	}
}

// An upgrade must not change a bridge whose manifest was not converted: with another client
// identifier, it would leave the messages in its session. The new operator finds no rules in
// it, and therefore leaves its pod as it is.
func TestManifests_NotConverted_IsInvalid(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		before, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range strings.Split(string(before), "\n---\n") {
			if !strings.Contains(document, "kind: MQTTBridge") {
				continue
			}
			b := &v1alpha1.MQTTBridge{}
			if err := yaml.Unmarshal([]byte(document), b); err != nil {
				t.Fatalf("%s: %v", file, err) // the API server ignores unknown fields in the same way
			}
			if errs := manifest.Validate(b).ToAggregate(); errs == nil || !strings.Contains(errs.Error(), "localToRemote") {
				t.Errorf("%s: %v; want an error that names localToRemote", file, errs)
			}
		}
	}
}

func converted(t *testing.T, before string) string {
	t.Helper()
	now, _, err := Manifests([]byte(before), "")
	if err != nil {
		t.Fatal(err)
	}
	return string(now)
}

// check fails the test if a document is an MQTTBridge that is not valid.
func check(t *testing.T, document string) {
	t.Helper()
	if !strings.Contains(document, "kind: MQTTBridge") {
		return
	}
	b := &v1alpha1.MQTTBridge{}
	if err := yaml.UnmarshalStrict([]byte(document), b); err != nil {
		t.Fatalf("%v\n%s", err, document)
	}
	if errs := manifest.Validate(b); len(errs) > 0 {
		t.Errorf("%v\n%s", errs.ToAggregate(), document)
	}
}

const head = "apiVersion: mqttbridge.io/v1alpha1\nkind: MQTTBridge\nmetadata:\n  name: b\n"

func TestManifests_EachChange(t *testing.T) {
	for name, c := range map[string]struct{ before, want string }{
		"directions, with comments": {
			"spec:\n  forwards: # up\n    - {filter: a}\n  # down\n  subscriptions:\n    - {filter: b}\n",
			"spec:\n  localToRemote: # up\n    - {filter: a}\n  # down\n  remoteToLocal:\n    - {filter: b}\n",
		},
		"two rules with one filter": {
			"spec:\n  forwards:\n    - {filter: a}\n    - {filter: a, topic: b}\n",
			"spec:\n  localToRemote:\n    - {filter: a}\n    - {filter: a, topic: b, name: a to b}\n",
		},
		"credentials": {
			"spec:\n  remote:\n    credentials: {secretRef: {name: x}}\n    proxy:\n      credentials: {secretRef: {name: y}}\n    primary:\n      credentials: {secretRef: {name: z}}\n",
			"spec:\n  remote:\n    credentials: {username: {secretKeyRef: {name: x}}, password: {secretKeyRef: {name: x}}}\n    proxy:\n      credentials: {username: {secretKeyRef: {name: y}}, password: {secretKeyRef: {name: y}}}\n    primary:\n      credentials: {username: {secretKeyRef: {name: z}}, password: {secretKeyRef: {name: z}}}\n",
		},
		"TLS": {
			"spec:\n  local:\n    tls: {caRef: {kind: ConfigMap, name: x}, certSecretRef: {name: y}}\n  remote:\n    tls: {caRef: {kind: Secret, name: x}}\n",
			"spec:\n  local:\n    tls: {ca: {configMapKeyRef: {name: x}}, certificate: {secretKeyRef: {name: y}}, key: {secretKeyRef: {name: y}}}\n  remote:\n    tls: {ca: {secretKeyRef: {name: x}}}\n",
		},
		"session expiry": {
			"spec:\n  local:\n    sessionExpirySeconds: 4294967295\n  remote:\n    sessionExpirySeconds: 60\n",
			"spec:\n  local:\n    sessionExpiry: Never\n  remote:\n    sessionExpiry: 60s\n",
		},
		"QoS 0 while the destination is down": {
			"spec:\n  delivery: {qos0WhenDown: Buffer}\n",
			"spec:\n  buffer: {qos0WhenDown: Buffer}\n",
		},
		"status": {
			"spec: {}\nstatus: {local: {}}\n",
			"spec: {}\n",
		},
	} {
		if got := converted(t, head+c.before); got != head+c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, head+c.want)
		}
	}
}

func TestManifests_RequestedSwitch_BecomesPreferredServer(t *testing.T) {
	const spec = "spec:\n  remote:\n    primary: {url: \"mqtt://a\"}\n    backups:\n      - {url: \"mqtt://b:1884\"}\n      - {name: named, url: \"mqtt://c\"}\n"
	for request, want := range map[string]string{
		"primary":        "{name: a}",
		"backup-1 force": "{name: \"b:1884\", force: true}",
		"named again":    "{name: named}",
		"":               "",
	} {
		in := strings.Replace(head, "  name: b\n", "  name: b\n  annotations: {mqttbridge.io/switch-remote: \""+request+"\"}\n", 1) + spec
		got := converted(t, in)
		wanted := head + spec
		if want != "" {
			wanted += "    preferredServer: " + want + "\n"
		}
		if strings.ReplaceAll(got, "'", "\"") != wanted {
			t.Errorf("%q:\n%s\nwant\n%s", request, got, wanted)
		}
	}
	in := strings.Replace(head, "  name: b\n", "  name: b\n  annotations: {mqttbridge.io/switch-remote: backup-3}\n", 1) + spec
	if _, _, err := Manifests([]byte(in), ""); err == nil || !strings.Contains(err.Error(), `MQTTBridge b: spec.remote: an annotation requests the server "backup-3"`) {
		t.Errorf("a server that does not exist: %v", err)
	}
}

// Release 0.1 made these identifiers.
func TestManifests_DefaultClientID_StaysAsItWas(t *testing.T) {
	const format = "kind: MQTTBridge\nmetadata: {name: plant-to-cloud-of-the-north%s}\nspec:\n  local: {clientID: mine}\n  remote:\n    primary: {}%s\n  %s: []\n"
	for name, c := range map[string]struct{ in, namespace, want, note string }{
		"of the manifest's namespace": {fmt.Sprintf(format, ", namespace: plant", "", "forwards"), "other", fmt.Sprintf(format, ", namespace: plant", "\n    clientID: planttocloudoft65bee250", "localToRemote"), ""},
		"of the given namespace":      {fmt.Sprintf(format, "", "", "subscriptions"), "plant", fmt.Sprintf(format, "", "\n    clientID: planttocloudoft65bee250", "remoteToLocal"), ""},
		"without a namespace":         {fmt.Sprintf(format, "", "", "forwards"), "", fmt.Sprintf(format, "", "", "localToRemote"), "spec.remote has no clientID"},
		"a manifest of this release":  {fmt.Sprintf(format, "", "", "localToRemote"), "plant", fmt.Sprintf(format, "", "", "localToRemote"), ""},
	} {
		out, notes, err := Manifests([]byte(c.in), c.namespace)
		if err != nil || string(out) != c.want || strings.Contains(strings.Join(notes, "\n"), "clientID") != (c.note != "") || !strings.Contains(strings.Join(notes, "\n"), c.note) {
			t.Errorf("%s: %v, %q\n%s\nwant\n%s", name, err, notes, out, c.want)
		}
	}
}

func TestManifests_OtherObjectsAndLists(t *testing.T) {
	const other = "kind: ConfigMap\ndata:\n  forwards: x\n"
	const list = "kind: List\nitems:\n  - kind: MQTTBridge\n    spec:\n      forwards: []\n  - kind: Secret\n    forwards: x\n"
	want := other + "---\n" + strings.Replace(list, "      forwards", "      localToRemote", 1)
	if got := converted(t, other+"---\n"+list); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if _, _, err := Manifests([]byte("kind: ["), ""); err == nil || !strings.Contains(err.Error(), "reading YAML: ") {
		t.Errorf("no YAML: %v", err)
	}
}

// kubectl accepts these files.
func TestManifests_DocumentsWithoutContent_StayWithoutContent(t *testing.T) {
	const bridge = head + "spec:\n  localToRemote: []\n"
	for name, c := range map[string]struct{ before, want string }{
		"a byte order mark":      {"\uFEFF" + bridge, bridge},
		"a mark before a marker": {"\uFEFF---\n" + bridge, bridge},
		"line ends of Windows":   {strings.ReplaceAll(bridge, "\n", "\r\n"), bridge},
		"a marker at the end":    {bridge + "---\n", bridge},
		"a comment at the end":   {bridge + "---\n# end\n", bridge + "\n# end\n"},
		"markers alone":          {"---\n---\n", ""},
		"nothing":                {"", ""},
	} {
		if got := converted(t, c.before); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// A password that begins with * and has no quotes is an alias in YAML.
func TestManifests_UnknownAlias_IsNotQuoted(t *testing.T) {
	_, _, err := Manifests([]byte("kind: MQTTBridge\nspec: {remote: {webSocket: {headers: [{name: a, value: *s3cr3t}]}}}\n"), "")
	if err == nil || strings.Contains(err.Error(), "s3cr3t") || !strings.Contains(err.Error(), "write the value in quotes") {
		t.Errorf("the error is %v", err)
	}
}

// An alias and the value that it names may need different changes.
func TestManifests_AliasInBridge_IsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"a side":      head + "spec:\n  local: &s {primary: {url: 'mqtt://a'}}\n  remote: *s\n  forwards: []\n",
		"a merge":     head + "spec:\n  local: &s {tls: {caRef: {name: x}}}\n  remote: {<<: *s, primary: {url: 'mqtt://a'}}\n  forwards: []\n",
		"in a list":   "kind: List\nitems:\n- &b\n  kind: MQTTBridge\n  metadata: {name: b}\n  spec: {forwards: []}\n- *b\n",
		"a whole one": "x: &b\n  kind: MQTTBridge\nkind: MQTTBridge\nmetadata: {name: b}\nspec: *b\n",
	} {
		if out, _, err := Manifests([]byte(text), "plant"); err == nil || !strings.Contains(err.Error(), "alias") || !strings.Contains(err.Error(), "line ") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	const other = "kind: ConfigMap\ndata:\n  a: &a x\n  b: *a\n"
	if got := converted(t, other); got != other {
		t.Errorf("another object: %s", got)
	}
}

// The decoder of a quantity computes each of its digits.
func TestManifests_RequestedServerBesideAnEndlessQuantity_IsConverted(t *testing.T) {
	const in = "apiVersion: mqttbridge.io/v1alpha1\nkind: MQTTBridge\nmetadata: {name: b, annotations: {mqttbridge.io/switch-local: primary}}\n" +
		"spec:\n  local: {primary: {url: \"mqtt://local\"}, maximumPacketSize: \"12345678901234567890e100000000\"}\n"
	if out, _, err := Manifests([]byte(in), "n"); err != nil || !strings.Contains(string(out), "preferredServer: {name: local}") {
		t.Errorf("%s, %v", out, err)
	}
}
