// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

const watched = `apiVersion: mqttbridge.io/v1alpha1
kind: MQTTBridge
metadata: {name: x, generation: 1}
spec:
  local: {primary: {url: "mqtt://a"}}
  remote: {primary: {url: "mqtt://b"}, backups: [{url: "mqtt://c"}], preferredServer: {name: b}}
  localToRemote: [{filter: "#"}]
`

func TestWatch_PreferredServer_ReportedIfManifestIsValid(t *testing.T) {
	for _, c := range []struct {
		name, old, new string
		want           string // the preferred server and the generation; empty: not reported
		log            string
	}{
		{"unchanged", "", "", "b 1", ""},
		{"another one", "name: b}", "name: c}", "c 1", ""},
		{"another generation", "generation: 1", "generation: 2", "b 2", ""},
		{"another rule, too", `"#"`, `"a/#"`, "b 1", "the spec of the manifest has changed; it is applied when the runner restarts"},
		{"an unknown server", "name: b}", "name: d}", "", "no server of this side has this name; set name to one of its servers (b, c), or remove preferredServer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := write(t, t.TempDir(), "bridge.yaml", watched)
			loaded, err := Load(path)
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Dir(path), "bridge.yaml", strings.Replace(watched, c.old, c.new, 1))
			var log strings.Builder // the goroutine of Watch writes it; ended is closed after that
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			reported, ended := make(chan string, 1), make(chan struct{})
			go func() {
				defer close(ended)
				logger := slog.New(slog.NewTextHandler(&log, nil))
				updates := NewUpdates(loaded, logger, func(b *v1alpha1.MQTTBridge, _ bool) {
					reported <- fmt.Sprintf("%s %d", b.Spec.Remote.PreferredServer.Name, b.Generation)
					stop()
				})
				Watch(ctx, path, logger, updates.File)
			}()
			got := ""
			select {
			case got = <-reported:
			case <-time.After(2 * watchInterval):
			}
			stop()
			<-ended
			if got != c.want {
				t.Errorf("%q is reported, want %q", got, c.want)
			}
			if c.log == "" && log.Len() > 0 || !strings.Contains(log.String(), c.log) {
				t.Errorf("the log is %q, want %q", log.String(), c.log)
			}
		})
	}
}
