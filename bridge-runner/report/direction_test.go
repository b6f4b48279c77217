// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"log/slog"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/delivery"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// named returns rules with these names.
func named(names ...string) []manifest.Rule {
	out := make([]manifest.Rule, len(names))
	for i, name := range names {
		out[i].Name = name
	}
	return out
}

// ruleSeries returns the series of the rules of localToRemote, by result and rule.
func ruleSeries(t *testing.T, m *Metrics) map[string]float64 {
	t.Helper()
	out := map[string]float64{}
	for series, value := range gather(t, m) {
		if labels, ok := strings.CutPrefix(series, "rule_messages_total "+LocalToRemote+"/"); ok {
			out[labels] = value
		}
	}
	return out
}

func TestMeter_RulesChange_KeptRulesContinueAndOthersDisappear(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	for _, c := range []struct {
		name   string
		before []string
		after  []string
		// late is an event that the pipe counts with the old meter after the new one was made.
		late func(old delivery.Meter)
		want map[string]float64
	}{
		{"a rule moves", []string{"a", "b"}, []string{"b"}, nil, map[string]float64{"routed/b": 2, "excluded/b": 1}},
		{"a rule is added in front", []string{"a", "b"}, []string{"c", "a", "b"}, nil, map[string]float64{"routed/a": 1, "excluded/a": 1, "routed/b": 2, "excluded/b": 1, "routed/c": 0}},
		{"all are removed", []string{"a", "b"}, nil, nil, map[string]float64{}},
		{"a removed rule counts meanwhile", []string{"a", "b"}, []string{"b"}, func(old delivery.Meter) {
			old.Matched(0, "")
			old.Matched(0, delivery.DropExcluded)
			old.Matched(1, "")
		}, map[string]float64{"routed/b": 3, "excluded/b": 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := NewMetrics()
			m.Meter(RemoteToLocal, named("a"), log)
			old := m.Meter(LocalToRemote, named(c.before...), log)
			for i := range c.before {
				for range i + 1 {
					old.Matched(i, "")
				}
				old.Matched(i, delivery.DropExcluded)
			}
			m.Meter(LocalToRemote, named(c.after...), log)
			if c.late != nil {
				c.late(old)
			}
			old.Replaced()
			if got := ruleSeries(t, m); !maps.Equal(got, c.want) {
				t.Errorf("series %v, want %v", got, c.want)
			}
			if got := gather(t, m)["rule_messages_total "+RemoteToLocal+"/routed/a"]; got != 0 {
				t.Errorf("the other direction counts %v", got)
			}
		})
	}
}

func TestMeter_RulesChangeWhileAMessageBlocks_NextMeterReportsItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newUnforwardableWorld(t)
		w.giveUp("t", delivery.FateBlocks)
		old := w.meter
		w.meter = w.metrics.Meter(LocalToRemote, named("a"), slog.New(slog.DiscardHandler))
		old.Replaced()
		if w.topic() != "t" || w.blocked(t) != 1 {
			t.Errorf("the status has the message %q, and blocked is %v", w.topic(), w.blocked(t))
		}
		time.Sleep(time.Minute) // the shortest time between two changes of the status
		w.meter.Unblocked()
		synctest.Wait()
		if w.topic() != "" || w.blocked(t) != 0 {
			t.Errorf("the status still has the message %q, and blocked is %v", w.topic(), w.blocked(t))
		}
	})
}

func TestUnforwardable_DeadLetterTopicChanges_EachMessageNamesItsOwn(t *testing.T) {
	for _, topic := range []string{"dead", "other"} {
		m := statusOf(&delivery.UnforwardableMessage{Topic: "t", Cause: delivery.DropRefused, Fate: delivery.FateDeadLetter, DeadLetter: topic, Err: &diagnosis.Problem{Message: "refused"}}, time.Now())
		if want := `published there under "` + topic + `"`; !strings.Contains(m.Message, want) {
			t.Errorf("the message %q lacks %q", m.Message, want)
		}
	}
}

func TestMetrics_DiskIsRemoved_ItsCapacityDisappears(t *testing.T) {
	m := NewMetrics()
	m.SetCapacity(LocalToRemote, 1000, 5000)
	m.SetCapacity(LocalToRemote, 2000, 0)
	got := gather(t, m)
	if _, ok := got["buffer_capacity_bytes "+LocalToRemote+"/disk"]; ok || got["buffer_capacity_bytes "+LocalToRemote+"/memory"] != 2000 {
		t.Errorf("%v", got)
	}
}
