// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
)

// manifestOf returns a manifest with these client identifiers on the remote side.
func manifestOf(namespace, name, remote, clientID string) *config.Manifest {
	b := &v1alpha1.MQTTBridge{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.MQTTBridgeSpec{
			Local:  v1alpha1.Side{Primary: v1alpha1.Server{URL: "mqtt://local.example"}},
			Remote: v1alpha1.Side{Primary: v1alpha1.Server{URL: remote}, ClientID: clientID},
		},
	}
	return &config.Manifest{MQTTBridge: b.WithDefaults()}
}

// The names are parts of paths: a manifest must not reach the files of another namespace.
func TestBridgeKey_Names_MustBeNamesOfKubernetes(t *testing.T) {
	for _, tc := range []struct{ namespace, name, want string }{
		{"plant", "b", "plant/b"},
		{"", "b", "default/b"},
		{"plant", "b.c", "plant/b.c"},
		{"..", "b", "metadata.namespace"},
		{"a/b", "b", "metadata.namespace"},
		{"plant", "..", "metadata.name"},
		{"plant", "../other/b", "metadata.name"},
	} {
		key, err := bridgeKey(manifestOf(tc.namespace, tc.name, "mqtt://r.example", ""))
		got := key.String()
		if err != nil {
			got, _, _ = strings.Cut(err.Error(), ":")
		}
		if got != tc.want {
			t.Errorf("%q, %q: %s, want %s", tc.namespace, tc.name, got, tc.want)
		}
	}
}

func TestClientIDs_SharedWithOneServer_AreWarnedOf(t *testing.T) {
	type step struct {
		name, server, id string // an empty server removes the bridge
		warned           bool
	}
	const server, other = "mqtt://r.example", "mqtt://other.example"
	for name, steps := range map[string][]step{
		"defaults":                  {{"a", server, "", false}, {"b", server, "", false}},
		"the same server":           {{"a", server, "x", false}, {"b", server, "x", true}},
		"another server":            {{"a", server, "x", false}, {"b", other, "x", false}},
		"the same bridge again":     {{"a", server, "x", false}, {"a", server, "x", false}},
		"after the first is gone":   {{"a", server, "x", false}, {"a", "", "", false}, {"b", server, "x", false}},
		"after the first has moved": {{"a", server, "x", false}, {"a", other, "x", false}, {"b", server, "x", false}},
	} {
		t.Run(name, func(t *testing.T) {
			ids := clientIDs{}
			for i, s := range steps {
				m := manifestOf("plant", s.name, s.server, s.id)
				key, err := bridgeKey(m)
				if err != nil {
					t.Fatal(err)
				}
				if s.server == "" {
					ids.remove(key)
					continue
				}
				var log strings.Builder
				ids.set(key, m, slog.New(slog.NewTextHandler(&log, nil)))
				if warned := log.Len() > 0; warned != s.warned || warned && !strings.Contains(log.String(), fmt.Sprintf("clientID=%s", s.id)) {
					t.Errorf("step %d: %q", i, &log)
				}
			}
		})
	}
}
