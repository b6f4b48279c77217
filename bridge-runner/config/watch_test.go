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
	write(strings.Replace(text, "switch-remote: primary", "switch-remote: backup-1", 1))
	requested := make(chan string)
	go Watch(t.Context(), path, slog.New(slog.DiscardHandler), func(next *v1alpha1.MQTTBridge) {
		select {
		case requested <- next.Annotations[v1alpha1.AnnotationSwitchRemote]:
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
