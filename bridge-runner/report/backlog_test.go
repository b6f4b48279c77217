// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/delivery"
)

func TestWatchBacklog_StateChanges_ReportedAndLogged(t *testing.T) {
	st := newState(t)
	if st.Status().Buffer != nil {
		t.Error("the status reports a buffer on disk, but there is none")
	}
	var log bytes.Buffer
	observe := st.WatchBacklog(RemoteToLocal, slog.New(slog.NewTextHandler(&log, nil)))
	b := st.Status().Buffer
	if b == nil || b.LocalToRemote != nil || b.RemoteToLocal.State != v1alpha1.BacklogEmpty || b.RemoteToLocal.Since.IsZero() {
		t.Errorf("at the beginning: %+v", b)
	}
	<-st.Changed()
	observe(v1alpha1.BacklogFailed, strings.Repeat("x", 2*maxMessage))
	<-st.Changed()
	if b := st.Status().Buffer.RemoteToLocal; b.State != v1alpha1.BacklogFailed || len(b.Message) != maxMessage {
		t.Errorf("after a failure: %+v", b)
	}
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "direction="+RemoteToLocal) {
		t.Errorf("the log says %s", &log)
	}
}

func TestBacklog_Metrics_AgeIsAgeOfOldestMessage(t *testing.T) {
	m := NewMetrics()
	backlog := delivery.Backlog{Messages: 3, Bytes: 500, Oldest: time.Now().Add(-time.Minute)}
	m.Backlog(LocalToRemote, func() delivery.Backlog { return backlog })
	read := func() map[string]float64 {
		families, err := registryOf(m).Gather()
		if err != nil {
			t.Fatal(err)
		}
		values := map[string]float64{}
		for _, f := range families {
			if strings.HasPrefix(f.GetName(), "mqttbridge_backlog_") {
				values[f.GetName()] = f.GetMetric()[0].GetGauge().GetValue()
			}
		}
		return values
	}
	got := read()
	if age := got["mqttbridge_backlog_oldest_seconds"]; got["mqttbridge_backlog_messages"] != 3 || got["mqttbridge_backlog_bytes"] != 500 || age < 60 || age > 90 {
		t.Errorf("metrics: %v", got)
	}
	backlog = delivery.Backlog{}
	if age := read()["mqttbridge_backlog_oldest_seconds"]; age != 0 {
		t.Errorf("the age of an empty backlog is %v seconds", age)
	}
}
