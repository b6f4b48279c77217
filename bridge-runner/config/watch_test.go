// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

const watched = `apiVersion: mqttbridge.io/v1alpha1
kind: MQTTBridge
metadata: {name: x, generation: 1}
spec:
  local: {primary: {url: "mqtt://a"}}
  remote: {primary: {url: "mqtt://b"}, backups: [{url: "mqtt://c"}], preferredServer: {name: b}}
  localToRemote: [{filter: "#"}]
`

func TestWatch_ChangedFile_ReportsManifestOrError(t *testing.T) {
	for _, c := range []struct {
		name, old, new string
		want           string // the preferred server and the generation, or a part of the error
	}{
		{"unchanged", "", "", "b 1"},
		{"another server", "name: b}", "name: c}", "c 1"},
		{"another generation", "generation: 1", "generation: 2", "b 2"},
		{"an unknown server", "name: b}", "name: d}", "no server of this side has this name; set name to one of its servers (b, c), or remove preferredServer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := write(t, t.TempDir(), "bridge.yaml", strings.Replace(watched, c.old, c.new, 1))
			ctx, stop := context.WithCancel(t.Context())
			reported, ended := make(chan string, 1), make(chan struct{})
			go func() {
				defer close(ended)
				Watch(ctx, path, func(m *Manifest, err error) {
					defer stop()
					if err != nil {
						reported <- err.Error()
						return
					}
					reported <- fmt.Sprintf("%s %d", m.Spec.Remote.PreferredServer.Name, m.Generation)
				})
			}()
			select {
			case got := <-reported:
				if !strings.Contains(got, c.want) {
					t.Errorf("%q is reported, want %q", got, c.want)
				}
			case <-time.After(10 * time.Second):
				t.Error("nothing is reported")
			}
			stop()
			<-ended
		})
	}
}
