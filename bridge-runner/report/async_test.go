// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// stuckLog is a log whose writes block until release is closed.
type stuckLog struct {
	release chan struct{}

	mu  sync.Mutex
	out bytes.Buffer
}

func newStuckLog() (*stuckLog, *slog.Logger) {
	s := &stuckLog{release: make(chan struct{})}
	return s, slog.New(slog.NewTextHandler(s, nil))
}

func (s *stuckLog) Write(b []byte) (int, error) {
	<-s.release
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(b)
}

// lines releases the log, waits until all records are written, and returns the lines.
func (s *stuckLog) lines(log *slog.Logger) []string {
	close(s.release)
	FlushAsync(log, time.Minute)
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Split(strings.TrimSpace(s.out.String()), "\n")
}

func TestAsync_StuckLog_DoesNotBlockAndDropsRecords(t *testing.T) {
	s, log := newStuckLog()
	log = Async(log)
	child := log.With("a", 1).WithGroup("g")
	log.Info("0")
	for i := 1; i < 5*maxPending; i++ {
		child.Info(fmt.Sprint(i), "b", 2)
	}
	lines := s.lines(log)
	if n := len(lines); n < maxPending || n > 2*maxPending+3 {
		t.Errorf("%d lines are written", n)
	}
	dropped, warnings := 0, 0
	for i, line := range lines {
		if strings.Contains(line, "log lines were dropped") {
			var n int
			_, lines, _ := strings.Cut(line, "lines=")
			if _, err := fmt.Sscan(lines, &n); err != nil {
				t.Error(err)
			}
			dropped, warnings = dropped+n, warnings+1
			continue
		}
		if i < maxPending && !strings.Contains(line, fmt.Sprintf("msg=%d", i)) || i > 0 && !strings.Contains(line, "a=1 g.b=2") {
			t.Fatalf("line %d is %s", i, line)
		}
	}
	if written := len(lines) - warnings; dropped == 0 || dropped+written != 5*maxPending {
		t.Errorf("%d lines are written, %d are reported as dropped", written, dropped)
	}
}

func TestMeter_StuckLog_DoesNotBlock(t *testing.T) {
	s, log := newStuckLog()
	done := make(chan struct{})
	go func() {
		defer close(done)
		NewMetrics().Meter(LocalToRemote, nil, log).Unrouted("t", "no_rule", "f")
		observe := newState(t).WatchBacklog(LocalToRemote, Async(log))
		observe(v1alpha1.BacklogFailed, "broken")
		observe(v1alpha1.BacklogDraining, "")
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Error("a log that no one reads blocks the data path")
	}
	close(s.release)
	<-done
}
