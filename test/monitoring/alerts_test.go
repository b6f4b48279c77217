// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"regexp"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
)

// firing returns the label sets for which a rule fires now, after its latest evaluation.
func (h *history) firing(r rulefmt.Rule) (out []labels.Labels) {
	h.t.Helper()
	last := h.now.Add(-scrapeInterval)
	from := last.Add(-time.Duration(r.For))
	if from.Before(h.start) {
		h.t.Fatalf("the history is shorter than the %s of %s", r.For, r.Alert)
	}
	count, evaluations := map[uint64]int{}, 0
	for at := from; !at.After(last); at = at.Add(scrapeInterval) {
		evaluations++
		out = nil
		for _, s := range h.instant(r.Expr, at) {
			set := labels.NewBuilder(s.Metric).Del(model.MetricNameLabel).Labels()
			count[set.Hash()]++
			if count[set.Hash()] == evaluations {
				out = append(out, set)
			}
		}
	}
	return out
}

// ruleNamed returns the rule of an alert.
func ruleNamed(t *testing.T, alert string) rulefmt.Rule {
	t.Helper()
	for _, r := range rules(t) {
		if r.Alert == alert {
			return r
		}
	}
	t.Fatalf("there is no alert %s", alert)
	return rulefmt.Rule{}
}

// has reports whether one of the sets has all labels of want.
func has(sets []labels.Labels, want map[string]string) bool {
	for _, set := range sets {
		all := true
		for name, value := range want {
			all = all && set.Get(name) == value
		}
		if all {
			return true
		}
	}
	return false
}

func TestAlerts_HealthyBridges_AreSilent(t *testing.T) {
	h := newHistory(t)
	w := healthy(t)
	first := w.clone()
	first.runner = w.longCertificates(w.outage("1-connected"))
	h.stay(10*time.Minute, first.targets()...)
	h.stay(2*time.Hour, w.targets()...)
	for _, r := range rules(t) {
		if sets := h.firing(r); len(sets) > 0 {
			t.Errorf("%s fires for %v", r.Alert, sets)
		}
	}
}

func TestAlerts_EachSituation_Fires(t *testing.T) {
	all := map[string][]rulefmt.Rule{}
	for _, r := range rules(t) {
		all[r.Alert] = append(all[r.Alert], r)
	}
	label := regexp.MustCompile(`\$labels\.([a-z]+)`)
	seen := map[string]bool{}
	for _, s := range situations() {
		seen[s.alert+s.severity] = true
		t.Run(s.alert+" "+s.severity, func(t *testing.T) {
			h, w := newHistory(t), healthy(t)
			h.stay(10*time.Minute, w.targets()...)
			s.happens(h, w)
			for _, r := range all[s.alert] {
				sets := h.firing(r)
				if is := r.Labels["severity"] == s.severity; has(sets, s.want) != is {
					t.Errorf("with the severity %s it fires for %v; want %t for %v", r.Labels["severity"], sets, is, s.want)
				}
				for _, text := range r.Annotations {
					for _, found := range label.FindAllStringSubmatch(text, -1) {
						for _, set := range sets {
							if !set.Has(found[1]) {
								t.Errorf("%q names the label %s; the alert has %s", text, found[1], set)
							}
						}
					}
				}
			}
		})
	}
	for name, list := range all {
		for _, r := range list {
			if !seen[name+r.Labels["severity"]] {
				t.Errorf("no situation makes %s fire with the severity %s", name, r.Labels["severity"])
			}
		}
	}
}

// A roll-out to many bridges replaces a tenth of the pods at a time, so that some bridges always recover.
func TestAlerts_RolloutProceeds_IsNotReported(t *testing.T) {
	h, w := newHistory(t), healthy(t)
	alert := ruleNamed(t, "MQTTBridgeRolloutStopped")
	rollout := func(waiting, recovering float64, long time.Duration) {
		w.operator = with(t, w.operator, waiting, "mqttbridge_operator_rollout_bridges", "state", "waiting")
		w.operator = with(t, w.operator, recovering, "mqttbridge_operator_rollout_bridges", "state", "recovering")
		h.stay(long, w.targets()...)
	}
	rollout(0, 0, 20*time.Minute)
	for waiting := 90.0; waiting > 0; waiting -= 2 {
		rollout(waiting, 10, time.Minute)
		if sets := h.firing(alert); len(sets) > 0 {
			t.Fatalf("it fires for %v while %v bridges wait", sets, waiting)
		}
	}
	rollout(20, 10, 30*time.Minute)
	if len(h.firing(alert)) == 0 {
		t.Error("it does not fire for a roll-out that has stopped")
	}
}

func TestAlerts_SuspendedBridge_IsNotReported(t *testing.T) {
	h, w := newHistory(t), healthy(t)
	w.operator = with(t, with(t, w.operator, 0, "mqttbridge_bridge_ready"), 1, "mqttbridge_bridge_suspended")
	h.stay(time.Hour, w.targets()...)
	if sets := h.firing(ruleNamed(t, "MQTTBridgeNotReady")); len(sets) > 0 {
		t.Errorf("the alert fires for %v", sets)
	}
}

// Another replica becomes active while an alert is pending. Its pod has other labels.
func TestAlerts_NewLeaderOfTheOperator_KeepsTheAlert(t *testing.T) {
	h, w := newHistory(t), healthy(t)
	w.operator = with(t, w.operator, 0, "mqttbridge_bridge_ready")
	h.stay(3*time.Minute, w.targets()...)
	w.operator = replace(w.operator, "pod", "operator-2")
	h.stay(3*time.Minute, w.targets()...)
	if sets := h.firing(ruleNamed(t, "MQTTBridgeNotReady")); len(sets) != 1 {
		t.Errorf("the alert fires for %v", sets)
	}
}
