// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
	"github.com/mqttbridge/mqttbridge-operator/internal/window"
)

// longestSchedule is the longest time until a bridge that waits for a window checks again. It
// bounds the delay after a change of the clock.
const longestSchedule = time.Hour

// nextWindow returns when the next window opens in which a roll-out may replace the bridge's
// pod. It returns the zero time if the roll-out may replace it now. The windows of the bridge
// replace the operator's windows.
func (r *Reconciler) nextWindow(b *v1alpha1.MQTTBridge) (time.Time, error) {
	windows := r.UpdateWindows
	if hasUpdateWindows(b) {
		var err error
		if windows, err = window.Parse(b.Spec.Runner.UpdateWindows, b.Spec.Runner.UpdateTimeZone); err != nil {
			return time.Time{}, fmt.Errorf("reading spec.runner.updateWindows: %w", err)
		}
	}
	now := r.Now()
	if window.Open(windows, now) {
		return time.Time{}, nil
	}
	if opens := window.NextOpening(windows, now); !opens.IsZero() {
		return opens, nil
	}
	return now.Add(longestSchedule), nil // the validation accepts no such schedule; the bridge checks again
}

func hasUpdateWindows(b *v1alpha1.MQTTBridge) bool {
	return b.Spec.Runner != nil && len(b.Spec.Runner.UpdateWindows) > 0
}

// schedule makes a bridge wait until a window opens. It returns false if the roll-out has
// already started to change the Deployment to the template: the replacement then continues.
func (f *fleet) schedule(bridge client.ObjectKey, template string, opens time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.granted[bridge] == template {
		return false
	}
	f.setStateLocked(bridge, rolloutScheduled)
	if f.openings == nil {
		f.openings = map[client.ObjectKey]time.Time{}
	}
	f.openings[bridge] = opens
	return true
}

// opening returns when the window opens for which a bridge waits, or the zero time if it waits
// for none.
func (f *fleet) opening(bridge client.ObjectKey) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.openings[bridge]
}

// updateScheduled returns the condition UpdateScheduled, or nil if the bridge does not wait for
// a window.
func updateScheduled(o *observation) *metav1.Condition {
	if o.windowOpens.IsZero() || o.suspended() {
		return nil
	}
	source := "--update-windows of the operator"
	if hasUpdateWindows(o.bridge) {
		source = "spec.runner.updateWindows"
	}
	return &metav1.Condition{
		Type: v1alpha1.ConditionUpdateScheduled, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonOutsideWindow,
		Message: fmt.Sprintf(msgUpdateScheduled, source, o.windowOpens.Format(time.RFC3339)),
	}
}

// ParseUpdateWindows parses the values of the flags --update-windows and --update-time-zone. The
// windows are separated by semicolons, because schedules contain commas. Each has the five
// fields of cron and a duration, such as "0 2 * * 6 4h".
func ParseUpdateWindows(value string, zone v1alpha1.TimeZone) ([]window.Window, error) {
	list, err := splitWindows(value)
	if err != nil {
		return nil, err
	}
	if errs := manifest.ValidateWindows(list, zone, field.NewPath("--update-windows"), field.NewPath("--update-time-zone")); len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	return window.Parse(list, zone)
}

const (
	// cronFields is the number of fields of a schedule.
	cronFields = 5
	// longestWindow is the maximum of durationMinutes.
	longestWindow = 7 * 24 * time.Hour
)

func splitWindows(value string) (list []v1alpha1.Window, err error) {
	for text := range strings.SplitSeq(value, ";") {
		fields := strings.Fields(text)
		if len(fields) == 0 {
			continue
		}
		last := len(fields) - 1
		length, err := time.ParseDuration(fields[last])
		if last != cronFields || err != nil || length%time.Minute != 0 || length < time.Minute || length > longestWindow {
			return nil, fmt.Errorf(msgNotAWindow, strings.Join(fields, " "))
		}
		list = append(list, v1alpha1.Window{Schedule: strings.Join(fields[:last], " "), DurationMinutes: int32(length / time.Minute)})
	}
	return list, nil
}
