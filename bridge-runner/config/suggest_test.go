// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"slices"
	"strings"
	"testing"
)

// unknownFieldCases are manifests with a field that the API does not have. They replace a part of the minimal manifest.
var unknownFieldCases = []struct{ name, old, new, field, remedy string }{
	{"two letters exchanged", `remote:1883"}`, `remote:1883"}, tsl: {}`, "spec.remote.tsl", "correct its name to tls, or remove it"},
	{"a wrong upper-case letter", `remote:1883"}`, `remote:1883"}, clientId: a`, "spec.remote.clientId", "correct its name to clientID, or remove it"},
	{"underscores", `remote:1883"}`, `remote:1883"}, keep_alive_seconds: 5`, "spec.remote.keep_alive_seconds", "correct its name to keepAliveSeconds, or remove it"},
	{"a part of the name", `remote:1883"}`, `remote:1883"}, keepalive: 60`, "spec.remote.keepalive", "correct its name to keepAliveSeconds, or remove it"},
	{"a part of one name", "localToRemote:", "policy: Never\n  localToRemote:", "spec.policy", "correct its name to deletionPolicy, or remove it"},
	{"several similar names", `remote:1883"}`, `remote:1883"}, failover: {timeout: 5}`, "spec.remote.failover.timeout", "correct its name to connectTimeoutSeconds, pingTimeoutSeconds or ackTimeoutSeconds, or remove it"},
	{"in a list", `"a/#"}`, `"a/#", retian: Keep}`, "spec.localToRemote[0].retian", "correct its name to retain, or remove it"},
	{"in an object of Kubernetes", "localToRemote:", "runner: {resources: {limit: {memory: 1Gi}}}\n  localToRemote:", "spec.runner.resources.limit", "correct its name to limits, or remove it"},
	{"in metadata", "namespace:", "namspace:", "metadata.namspace", "correct its name to namespace, or remove it"},
	{"at the top", "spec:", "spce: {}\nspec:", "spce", "correct its name to spec, or remove it"},
	{"too high", `remote:1883"}`, `remote:1883"}, retry: {maxSeconds: 5}`, "spec.remote.retry", "move it to spec.remote.failover.retry, or remove it"},
	{"a server without primary", `remote:1883"}`, `remote:1883"}, url: "mqtt://b"`, "spec.remote.url", "move it to spec.remote.primary.url, spec.remote.backups[].url or spec.remote.proxy.url, or remove it"},
	{"too deep", `remote:1883"}`, `remote:1883", protocolVersion: "5"}`, "spec.remote.primary.protocolVersion", "move it to spec.remote.protocolVersion, or remove it"},
	{"in another part of the spec", `remote:1883"}`, `remote:1883"}, inflightWindow: 5`, "spec.remote.inflightWindow", "move it to spec.delivery.inflightWindow, or remove it"},
	{"in the spec instead of the sides", "localToRemote:", "cleanSession: true\n  localToRemote:", "spec.cleanSession", "move it to spec.local.cleanSession or spec.remote.cleanSession, or remove it"},
	{"in a list, too deep", `remote:1883"}`, `remote:1883"}, backups: [{url: "mqtt://b", failover: {}}]`, "spec.remote.backups[0].failover", "move it to spec.remote.failover, or remove it"},
	{"in a list, too high", `remote:1883"}`, `remote:1883"}, backups: [{url: "mqtt://b", password: {}}]`, "spec.remote.backups[0].password", "move it to spec.remote.backups[0].credentials.password, or remove it"},
	{"a Secret without secretKeyRef", `remote:1883"}`, `remote:1883"}, credentials: {password: {name: login}}`, "spec.remote.credentials.password.name", "move it to spec.remote.credentials.password.secretKeyRef.name, or remove it"},
	{"beside the spec", "spec:", "replicas: 1\nspec:", "replicas", "move it to spec.replicas, or remove it"},
	{"of metadata", "localToRemote:", "labels: {site: north}\n  localToRemote:", "spec.labels", "move it to metadata.labels, or remove it"},
	{"the name of the bridge", "localToRemote:", "name: b\n  localToRemote:", "spec.name", "move it to metadata.name, or remove it"},
	{"of an earlier release, moved", "localToRemote:", "delivery: {qos0WhenDown: Buffer}\n  localToRemote:", "spec.delivery.qos0WhenDown", "move it to spec.buffer.qos0WhenDown, or remove it"},
	{"a path", `remote:1883"}`, `remote:1883"}, failover.retry.maxSeconds: 5`, "spec.remote.failover.retry.maxSeconds", "write its parts as nested fields, as in failover: {retry: {maxSeconds: ...}}"},

	// A remedy would be wrong.
	{"a password without a Secret", `remote:1883"}`, `remote:1883"}, credentials: {password: {value: s}}`, "spec.remote.credentials.password.value", generalRemedy},
	{"a value as in a pod", `remote:1883"}`, `remote:1883"}, credentials: {password: {valueFrom: {}}}`, "spec.remote.credentials.password.valueFrom", generalRemedy},
	{"a name like no other", `remote:1883"}`, `remote:1883"}, colour: red`, "spec.remote.colour", generalRemedy},
	{"a very long name", `remote:1883"}`, `remote:1883"}, ` + strings.Repeat("tls", 300) + `: 1`, "spec.remote." + strings.Repeat("tls", 300), generalRemedy},

	// Names of earlier releases, which bridge-runner convert corrects.
	{"forwards", "localToRemote:", "forwards: []\n  localToRemote:", "spec.forwards", generalRemedy},
	{"subscriptions", "localToRemote:", "subscriptions: []\n  localToRemote:", "spec.subscriptions", generalRemedy},
	{"sessionExpirySeconds", `remote:1883"}`, `remote:1883"}, sessionExpirySeconds: 5`, "spec.remote.sessionExpirySeconds", generalRemedy},
	{"secretRef", `remote:1883"}`, `remote:1883"}, credentials: {secretRef: {name: a}}`, "spec.remote.credentials.secretRef", generalRemedy},
	{"caRef", `mqtt://remote:1883"}`, `mqtts://remote:1883"}, tls: {caRef: {name: a}}`, "spec.remote.tls.caRef", generalRemedy},
	{"certSecretRef", `mqtt://remote:1883"}`, `mqtts://remote:1883"}, tls: {certSecretRef: {name: a}}`, "spec.remote.tls.certSecretRef", generalRemedy},
}

func TestCheck_UnknownField_NamesTheFieldThatIsMeant(t *testing.T) {
	for _, c := range unknownFieldCases {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(minimal, c.old, c.new, 1)
			_, problems, err := Check([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range problems {
				got = append(got, p.Error())
			}
			if want := c.field + ": Forbidden: the API has no such field; " + c.remedy; !slices.Contains(got, want) {
				t.Errorf("%q\nwant %q", got, want)
			}
			if _, err := parse([]byte(text)); err == nil || !slices.Contains(strings.Split(err.Error(), "\n"), `unknown field "`+c.field+`"; `+c.remedy) {
				t.Errorf("the error of a runner is %v\nwant %s", err, c.remedy)
			}
		})
	}
}

func TestLineOf_NamesWithDots_ReturnsTheirLines(t *testing.T) {
	d := Document{Data: []byte("spec:\n  remote:\n    primary: {}\n    failover.retry.maxSeconds: 5\nmetadata:\n  labels:\n    a: b\n    app.kubernetes.io/name: c\n")}
	for path, want := range map[string]int{
		"spec.remote.failover.retry.maxSeconds":   4,
		"metadata.labels[app.kubernetes.io/name]": 8,
		"metadata.labels[a]":                      7,
		"spec.remote.primary.url":                 3,
		"spec.local.primary.url":                  1,
	} {
		if got := d.LineOf(path); got != want {
			t.Errorf("%s: line %d, want %d", path, got, want)
		}
	}
}

func TestEditDistance_Words_CountsChanges(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"a", "", 1},
		{"", "ab", 2},
		{"tls", "tls", 0},
		{"tsl", "tls", 1},
		{"uri", "url", 1},
		{"retian", "retain", 1},
		{"backup", "backups", 1},
		{"kitten", "sitting", 3},
		{"abc", "ca", 3},
	} {
		if got := editDistance(c.a, c.b); got != c.want {
			t.Errorf("%q, %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
