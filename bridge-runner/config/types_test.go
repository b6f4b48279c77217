// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestLoad_ValueOfWrongType_NamesFieldValueAndRemedy(t *testing.T) {
	const remote, rules = `{primary: {url: "mqtt://remote:1883"}}`, `[{filter: "a/#"}]`
	for _, c := range []struct{ name, old, new, want string }{
		{"a version without quotes", remote, `{primary: {url: "mqtt://remote"}, protocolVersion: 5}`, `spec.remote.protocolVersion: Invalid value: 5: must be a string; write it in quotes, as in "5"`},
		{"the other version", remote, `{primary: {url: "mqtt://remote"}, protocolVersion: 3.1}`, `spec.remote.protocolVersion: Invalid value: 3.1: must be a string; write it in quotes, as in "3.1"`},
		{"on the local side", `{primary: {url: "mqtt://local:1883"}}`, `{primary: {url: "mqtt://local"}, protocolVersion: 5}`, `spec.local.protocolVersion: Invalid value: 5: must be a string; write it in quotes, as in "5"`},
		{"Off without quotes", remote, `{primary: {url: "mqtt://remote"}, bridgeMode: Off}`, `spec.remote.bridgeMode: Invalid value: false: must be a string, and YAML reads no, off and false without quotes as booleans; write the word in quotes`},
		{"yes without quotes", remote, `{primary: {url: "mqtt://remote"}, clientID: yes}`, `spec.remote.clientID: Invalid value: true: must be a string, and YAML reads yes, on and true without quotes as booleans; write the word in quotes`},
		{"a topic of digits", rules, `[{filter: 5}]`, `spec.localToRemote[0].filter: Invalid value: 5: must be a string; write it in quotes, as in "5"`},
		{"an item of digits", rules, `[{filter: "a/#", exclude: ["a/b", 5]}]`, `spec.localToRemote[0].exclude[1]: Invalid value: 5: must be a string; write it in quotes, as in "5"`},
		{"a name of digits", "name: b", "name: 5", `metadata.name: Invalid value: 5: must be a string`},
		{"a label of digits", "localToRemote:", "runner: {podLabels: {build: 12}}\n  localToRemote:", `spec.runner.podLabels[build]: Invalid value: 12: must be a string; write it in quotes, as in "12"`},
		{"a QoS in quotes", rules, `[{filter: "a/#", qos: "1"}]`, `spec.localToRemote[0].qos: Invalid value: "a string": must be a number; write it without quotes, as in 1`},
		{"a number with a unit", remote, `{primary: {url: "mqtt://remote"}, keepAliveSeconds: 10s}`, `spec.remote.keepAliveSeconds: Invalid value: "a string": must be a whole number; write only digits, without quotes or a unit`},
		{"a fraction", remote, `{primary: {url: "mqtt://remote"}, keepAliveSeconds: 1.5}`, `spec.remote.keepAliveSeconds: Invalid value: 1.5: must be a whole number`},
		{"a boolean for a number", rules, `[{filter: "a/#", qos: yes}]`, `spec.localToRemote[0].qos: Invalid value: true: must be a whole number`},
		{"too large", remote, `{primary: {url: "mqtt://remote"}, keepAliveSeconds: 99999999999}`, `spec.remote.keepAliveSeconds: Invalid value: 99999999999: is out of range`},
		{"a boolean in quotes", remote, `{primary: {url: "mqtt://remote"}, cleanSession: "true"}`, `spec.remote.cleanSession: Invalid value: "a string": must be a boolean; write true or false without quotes`},
		{"a number for a boolean", "localToRemote:", "suspend: 1\n  localToRemote:", `spec.suspend: Invalid value: 1: must be a boolean; write true or false without quotes`},
		{"a server given as a URL", remote, `{primary: "mqtt://remote"}`, `spec.remote.primary: Invalid value: "a string": must be an object with fields, such as url`},
		{"a server in a list", remote, `{primary: [{url: "mqtt://remote"}]}`, `spec.remote.primary: Invalid value: "a list": must be an object; remove the '- ' before its fields`},
		{"backups that are not a list", remote, `{primary: {url: "mqtt://remote"}, backups: {url: "mqtt://b"}}`, `spec.remote.backups: Invalid value: "an object": must be a list; begin each of its items with '- '`},
		{"rules that are a string", rules, `"a/#"`, `spec.localToRemote: Invalid value: "a string": must be a list; begin each of its items with '- '`},
		{"a URL that is an object", remote, `{primary: {url: {mqtt: x}}}`, `spec.remote.primary.url: Invalid value: "an object": must be a string`},
		{"labels that are a list", "localToRemote:", "runner: {podLabels: [a]}\n  localToRemote:", `spec.runner.podLabels: Invalid value: "a list": must be an object; write a name and a value in each line, as in app: bridge`},
		{"a header of digits", remote, `{primary: {url: "ws://h", webSocket: {headers: [{name: a, value: 12}]}}}`, `spec.remote.primary.webSocket.headers[0].value: Invalid value: "...": must be a string; write it in quotes, as in "..."`},
	} {
		t.Run(c.name, func(t *testing.T) {
			manifest := strings.Replace(minimal, c.old, c.new, 1)
			_, err := Load(write(t, t.TempDir(), "b.yaml", manifest))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v\nwant: %s", err, c.want)
			}
		})
	}
	t.Run("all wrong values are named", func(t *testing.T) {
		_, err := Load(write(t, t.TempDir(), "b.yaml", strings.ReplaceAll(minimal, `1883"}}`, `1883"}, protocolVersion: 5}`)))
		for _, want := range []string{"spec.local.protocolVersion", "spec.remote.protocolVersion"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v\nwant: %s", err, want)
			}
		}
	})
	t.Run("right types", func(t *testing.T) {
		manifest := strings.Replace(minimal, "localToRemote:", "buffer: {memory: {size: 64Mi}, disk: {size: 1073741824}}\n  runner: {resources: {limits: {cpu: 1, memory: 64Mi}}}\n  suspend: no\n  notifications:\n  localToRemote:", 1)
		if _, err := Load(write(t, t.TempDir(), "b.yaml", manifest)); err != nil {
			t.Error(err)
		}
	})
}

// Such a quantity has a billion digits.
func TestCheck_QuantityThatCannotBeEvaluated_IsRefusedAtOnce(t *testing.T) {
	for _, quantity := range []string{"1e100", "1e1000000000", `"1E+1000000000"`, `"12345678901234567890e1000000000"`, `"1e-1000000000"`, `"0e1000000000"`, `"` + strings.Repeat("1", 65) + `"`} {
		for _, field := range []string{"buffer: {disk: {size: %s}}", "buffer: {memory: {size: %s}}", "runner: {resources: {limits: {memory: %s}}}"} {
			manifest := strings.Replace(minimal, "localToRemote:", fmt.Sprintf(field, quantity)+"\n  localToRemote:", 1)
			refused := make(chan error, 1)
			go func() {
				_, problems, err := Check([]byte(manifest))
				refused <- errors.Join(err, problems.ToAggregate())
			}()
			select {
			case err := <-refused:
				if err == nil || !strings.Contains(err.Error(), "must be a quantity of at most 64 characters") {
					t.Errorf("%s: %.200v", fmt.Sprintf(field, quantity), err)
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("%s: the check does not end", fmt.Sprintf(field, quantity))
			}
		}
	}
	for _, quantity := range []string{"64Mi", "1e9", "2E", "2Ei", "1000000000", "1e+9"} {
		manifest := strings.Replace(minimal, "localToRemote:", "buffer: {disk: {size: "+quantity+"}}\n  localToRemote:", 1)
		if _, problems, err := Check([]byte(manifest)); err != nil || strings.Contains(fmt.Sprint(problems), "must be a quantity") {
			t.Errorf("%s: %v, %v", quantity, problems, err)
		}
	}
}
