// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/mqttbridge/mqttbridge-operator/internal/metriclist"
)

// The plugin reads only metrics that the runner has, with the label direction.
func TestMetrics_OfASample_AreInTheListOfMetrics(t *testing.T) {
	all := map[string]metriclist.Metric{}
	for _, m := range metriclist.Of(metriclist.Bridge) {
		all[m.Name] = m
	}
	for name := range metrics {
		if !slices.Contains(all[name].Labels, "direction") {
			t.Errorf("%s is no metric of a bridge with the label direction", name)
		}
	}
}

const scrape = `# TYPE mqttbridge_messages_forwarded_total counter
mqttbridge_messages_forwarded_total{direction="localToRemote"} 30
mqttbridge_messages_forwarded_total{direction="remoteToLocal"} 4
# TYPE mqttbridge_messages_dropped_total counter
mqttbridge_messages_dropped_total{direction="localToRemote",cause="expired"} 2
mqttbridge_messages_dropped_total{direction="localToRemote",cause="excluded"} 3
# TYPE mqttbridge_backlog_messages gauge
mqttbridge_backlog_messages{direction="localToRemote"} 7
`

func TestParseSample_Scrape_AddsTheCausesOfADirection(t *testing.T) {
	s, err := parseSample("p", []byte(scrape), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if got := *s.Directions[LocalToRemote]; got != (Counts{Forwarded: 30, Dropped: 5, Backlog: 7}) {
		t.Errorf("local to remote: %+v", got)
	}
	for text, want := range map[string]string{"<html>": "does not answer with metrics", "up 1\n": "without the metrics of a runner"} {
		if _, err := parseSample("p", []byte(text), time.Now()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestRate_SamplesOfOneProcess_IsTheDifferencePerSecond(t *testing.T) {
	now := time.Now()
	sample := func(pod string, at time.Duration, forwarded float64) *Sample {
		return &Sample{Pod: pod, Time: now.Add(at), Directions: map[string]*Counts{LocalToRemote: {Forwarded: forwarded, ForwardedBytes: forwarded * 10}}}
	}
	first := sample("a", 0, 100)
	if messages, size, ok := Rate(first, sample("a", 2*time.Second, 150), LocalToRemote); !ok || messages != 25 || size != 250 {
		t.Errorf("%v messages and %v bytes per second, %t", messages, size, ok)
	}
	for name, pair := range map[string][2]*Sample{
		"one sample":          {nil, first},
		"another pod":         {first, sample("b", time.Second, 150)},
		"a restarted process": {first, sample("a", time.Second, 3)},
		"samples at once":     {first, sample("a", time.Millisecond, 101)},
		"no second sample":    {first, nil},
	} {
		if _, _, ok := Rate(pair[0], pair[1], LocalToRemote); ok {
			t.Errorf("%s: a rate", name)
		}
	}
}

func TestEventTime_OfAllForms_IsTheLatestTime(t *testing.T) {
	early, late := time.Unix(100, 0), time.Unix(200, 0)
	var series, plain, single, created corev1.Event
	series.Series = &corev1.EventSeries{}
	series.Series.LastObservedTime.Time, series.EventTime.Time = late, early
	plain.LastTimestamp.Time, plain.CreationTimestamp.Time = late, early
	single.EventTime.Time, single.CreationTimestamp.Time = late, early
	created.CreationTimestamp.Time = late
	for i, e := range []*corev1.Event{&series, &plain, &single, &created} {
		if got := EventTime(e); !got.Equal(late) {
			t.Errorf("event %d: %s", i, got)
		}
	}
}
