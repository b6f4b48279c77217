// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// downBecause returns the observation of a bridge whose only remote server has failed.
func downBecause(reason, message string) *observation {
	return observed(withSides(localUp(), side(serverStatus("primary", primaryURL, v1alpha1.ServerFailed, reason, message))))
}

func TestEvents_CauseOfOutageChanges_IsAnnouncedWithTheLatestCause(t *testing.T) {
	refused := downBecause(v1alpha1.ReasonConnectionRefused, "10.0.0.1:1883 refuses")
	refusedElsewhere := downBecause(v1alpha1.ReasonConnectionRefused, "10.0.0.22:1883 refuses")
	denied := downBecause(v1alpha1.ReasonAuthenticationFailed, "the password is wrong")
	expired := downBecause(v1alpha1.ReasonAuthenticationFailed, "the password has expired")
	const (
		isRefused = "Warning AllServersDown every server of the remote side is down: primary (mqtt://a:1883) failed: ConnectionRefused: 10.0.0.1:1883 refuses"
		isDenied  = "Warning AllServersDown every server of the remote side is still down, and the causes have changed: primary (mqtt://a:1883) failed: AuthenticationFailed: the password is wrong"
		isExpired = "Warning AllServersDown every server of the remote side is still down, and the causes have changed: primary (mqtt://a:1883) failed: AuthenticationFailed: the password has expired"
	)
	var sent announced
	for i, step := range []struct {
		after time.Duration
		given *observation
		want  []string
		held  time.Duration
	}{
		{0, refused, []string{isRefused}, 0},
		{time.Second, denied, nil, 59 * time.Second}, // the first attempt after a loss often has another cause
		{2 * time.Second, refused, nil, 0},           // it has changed back
		{59 * time.Second, refusedElsewhere, nil, 0}, // the same cause
		{60 * time.Second, denied, []string{isDenied}, 0},
		{61 * time.Second, denied, nil, 0},
		{90 * time.Second, expired, nil, 30 * time.Second},
		{3 * time.Minute, observed(noPods), nil, 0}, // the runner is replaced
		{3 * time.Minute, expired, []string{isExpired}, 0},
		{4 * time.Minute, denied, nil, 2 * time.Minute},
		{5 * time.Minute, observed(), []string{"Normal Recovered the remote side is connected again after 5m0s: primary (mqtt://a:1883)"}, 0},
		{6 * time.Minute, denied, []string{"Warning AllServersDown every server of the remote side is down: primary (mqtt://a:1883) failed: AuthenticationFailed: the password is wrong"}, 0},
		{7 * time.Minute, refused, []string{"Warning AllServersDown every server of the remote side is still down, and the causes have changed: primary (mqtt://a:1883) failed: ConnectionRefused: 10.0.0.1:1883 refuses"}, 0},
	} {
		var due []event
		var held time.Duration
		sent, due, held = announce(step.given, sent, epoch.Add(step.after))
		if got := notes(due); !slices.Equal(got, step.want) || held != step.held {
			t.Errorf("step %d: events %q, held for %s; want %q, %s", i, got, held, step.want, step.held)
		}
	}
}

// Each event is also a write of the record. A side whose attempts fail for alternating causes must not cause them
// without end.
func TestEvents_CausesOfOutageAlternate_AreAnnouncedRarely(t *testing.T) {
	var sent announced
	events, records := 0, 0
	for minute := range 24 * 60 {
		before := fmt.Sprintf("%+v", sent)
		var due []event
		sent, due, _ = announce(downBecause([]string{v1alpha1.ReasonConnectionRefused, v1alpha1.ReasonConnectTimeout}[minute%2], "x"), sent, epoch.Add(time.Duration(minute)*time.Minute))
		if events += len(due); fmt.Sprintf("%+v", sent) != before {
			records++
		}
	}
	if events < 2 || events > 13 || records != events {
		t.Errorf("%d events and %d records in a day of one outage, want at most 13", events, records)
	}
}

// The record of an earlier version does not have the causes: after an upgrade of the operator, an outage that was
// announced has no second event.
func TestEvents_CauseOfOutageNotRecorded_IsNotAnnouncedAgain(t *testing.T) {
	sent, _, _ := announce(downBecause(v1alpha1.ReasonConnectionRefused, "x"), announced{}, epoch)
	earlier := announced{RemoteDown: sent.RemoteDown}
	if after, due, held := announce(downBecause(v1alpha1.ReasonConnectTimeout, "x"), earlier, epoch.Add(time.Hour)); len(due) > 0 || held > 0 || after.RemoteDown != sent.RemoteDown {
		t.Errorf("events %q, held for %s", notes(due), held)
	}
}
