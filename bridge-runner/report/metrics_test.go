// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"log/slog"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/delivery"
	"github.com/mqttbridge/mqttbridge-operator/internal/metriclist"
)

// The tests of test/runner compare the list with the metrics of real runners.
func TestMetrics_Names_MatchTheList(t *testing.T) {
	listed := map[string]bool{}
	for _, set := range []metriclist.Set{metriclist.Bridge, metriclist.Runner, metriclist.Host, metriclist.Member} {
		for _, m := range metriclist.Of(set) {
			listed[m.Name] = true
		}
	}
	descriptions := make(chan *prometheus.Desc, 1000)
	registry := registryOf(NewMetrics())
	(&Registry{registry}).AddHost(func() float64 { return 0 }, func() float64 { return 0 })
	(&Registry{registry}).AddMember(nil)
	(&Registry{registry}).AddSpans(&atomic.Uint64{}, map[string]*atomic.Uint64{"queue_full": {}})
	registry.Describe(descriptions)
	close(descriptions)
	name := regexp.MustCompile(`fqName: "([^"]+)"`)
	for d := range descriptions {
		n := name.FindStringSubmatch(d.String())[1]
		if strings.HasPrefix(n, "mqttbridge_") && !listed[n] {
			t.Errorf("internal/metriclist has no metric %s of a runner", n)
		}
		delete(listed, n)
	}
	for n := range listed {
		t.Errorf("internal/metriclist has %s, and the runner does not declare it", n)
	}
}

func TestMeter_UnroutedMessages_LoggedRarelyWithRemedy(t *testing.T) {
	var log bytes.Buffer
	late := Async(slog.New(slog.NewTextHandler(&log, nil)))
	meter := NewMetrics().Meter(LocalToRemote, nil, late)
	for _, cause := range []string{delivery.DropNoRule, delivery.DropInvalidTopic} {
		for range 100 {
			meter.Unrouted("some/topic", cause, `"a/#", "b/+"`)
		}
	}
	FlushAsync(late, time.Minute)
	if n := strings.Count(log.String(), "\n"); n != 2 {
		t.Errorf("%d lines for 200 messages of two causes", n)
	}
	for _, want := range []string{"topic=some/topic", "cause=no_rule", "cause=invalid_topic", "b/+", "cleanSession: true", "change the rule's topic"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q: %s", want, &log)
		}
	}
}
