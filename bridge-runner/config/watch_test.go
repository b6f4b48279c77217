// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

func TestWatch_AnnotationChangedBeforeStart_Reported(t *testing.T) {
	const text = `apiVersion: mqttbridge.io/v1alpha1
kind: MQTTBridge
metadata:
  name: x
  annotations: {mqttbridge.io/switch-remote: primary}
spec:
  local: {primary: {url: "mqtt://a"}}
  remote: {primary: {url: "mqtt://b"}, backups: [{url: "mqtt://c"}]}
  localToRemote: [{filter: "#"}]
`
	path := filepath.Join(t.TempDir(), "bridge.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(text)
	loaded, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	write(strings.Replace(text, "switch-remote: primary", "switch-remote: backup-1", 1))
	requested := make(chan string)
	go Watch(t.Context(), path, loaded, slog.New(slog.DiscardHandler), func(manifest *v1alpha1.MQTTBridge, _ bool) {
		select {
		case requested <- manifest.Annotations[v1alpha1.AnnotationSwitchRemote]:
		case <-t.Context().Done():
		}
	})
	select {
	case got := <-requested:
		if got != "backup-1" {
			t.Errorf("%q is requested", got)
		}
	case <-time.After(10 * watchInterval):
		t.Error("no switch is requested")
	}
}

func TestWatch_ChangedManifest_IsTheSameOnlyWithSpecAndPodTemplate(t *testing.T) {
	const text = `apiVersion: mqttbridge.io/v1alpha1
kind: MQTTBridge
metadata:
  name: x
  generation: 3
  annotations: {mqttbridge.io/pod-template-hash: "1"}
spec:
  local: {primary: {url: "mqtt://a"}}
  remote: {primary: {url: "mqtt://b"}}
  localToRemote: [{filter: "#"}]
`
	for _, tt := range []struct {
		change   string
		old, new string
		same     bool
	}{
		{"a generation", "generation: 3", "generation: 4", true},
		{"a spec", `filter: "#"`, `filter: "+"`, false},
		{"a pod template", `hash: "1"`, `hash: "2"`, false},
	} {
		t.Run(tt.change, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "bridge.yaml")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			loaded, err := Load(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(strings.Replace(text, tt.old, tt.new, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			type change struct {
				generation int64
				same       bool
			}
			changes := make(chan change, 1)
			go Watch(t.Context(), path, loaded, slog.New(slog.DiscardHandler), func(manifest *v1alpha1.MQTTBridge, same bool) {
				changes <- change{manifest.Generation, same}
			})
			select {
			case got := <-changes:
				if got.same != tt.same || tt.change == "a generation" && got.generation != 4 {
					t.Errorf("the manifest is %+v, want the same: %t", got, tt.same)
				}
			case <-time.After(10 * watchInterval):
				t.Error("the change is not reported")
			}
		})
	}
}
