// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"strings"
	"testing"
)

// A user may write a secret in place of the reference to it, or a value that YAML reads differently.
func TestCheck_SecretInAWrongPlace_IsInNoError(t *testing.T) {
	for _, c := range []struct{ side, want string }{
		{"credentials: {username: {value: u}, password: 7342178}", `spec.remote.credentials.password: Invalid value: "a number": must be an object`},
		{"credentials: {username: {value: u}, password: {secretKeyRef: 7342178}}", `spec.remote.credentials.password.secretKeyRef: Invalid value: "a number"`},
		{"webSocket: {queryFrom: 7342178}", `spec.remote.webSocket.queryFrom: Invalid value: "a number"`},
		{"webSocket: {headers: 7342178}", `spec.remote.webSocket.headers: Invalid value: "a number": must be a list`},
		{"webSocket: {headers: [7342178]}", `spec.remote.webSocket.headers[0]: Invalid value: "a number"`},
		{"webSocket: {headers: [{name: \"Authorization: Bearer 7342178\", value: x}]}", `spec.remote.webSocket.headers[0].name: Invalid value: "Authorization...": the name of a header`},
		{"tls: {key: {secretKeyRef: {name: k, key: \"-----BEGIN PRIVATE KEY-----\\n7342178\"}}}", `spec.remote.tls.key.secretKeyRef.key: Invalid value: "...": key must be a key of a Secret`},
		{"tls: {key: {secretKeyRef: {name: \"-----BEGIN PRIVATE KEY-----\\n7342178\"}}}", `spec.remote.tls.key.secretKeyRef.name: Invalid value: "...": name must be`},
		{"credentials: {username: {value: !!int s7342178}}", "a tag such as !!int"},
		{"credentials: {username: {value: {{ s7342178 }}}}", "write the value in quotes"},
		{"credentials: {username: {~: s7342178}}", "the key of a field is no text"},
	} {
		t.Run(c.side, func(t *testing.T) {
			text := strings.Replace(minimal, `{primary: {url: "mqtt://remote:1883"}}`, `{primary: {url: "wss://remote"}, `+c.side+"}", 1)
			_, problems, err := Check([]byte(text))
			if got := fmt.Sprint(problems.ToAggregate(), err); strings.Contains(got, "7342178") || !strings.Contains(got, c.want) {
				t.Errorf("%s\nwant %s", got, c.want)
			}
			if _, err := parse([]byte(text)); err == nil || strings.Contains(err.Error(), "7342178") {
				t.Errorf("the error of a runner is %v", err)
			}
		})
	}
}
