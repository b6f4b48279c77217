// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// announcer collects the events that are due and within the budget.
//
// An event is due if the observation differs from the record of sent events. If the budget
// does not permit the event, the record stays as it is, and the event is held: a later pass
// compares again. It then sends an event about the state at that time, and none if the state
// is again the recorded one. While events are held, nothing is written.
type announcer struct {
	sent   announced
	budget budget
	due    []event
}

// add adds the events that compare returns. compare also changes the record. If
// the events are not within the budget, the record does not change either, and they are held.
func (a *announcer) add(compare func(*announced) []event) {
	next := a.sent
	events := compare(&next)
	if !a.budget.take(tokens(events)) {
		return
	}
	a.sent = next
	a.due = append(a.due, events...)
}

// result returns the record and the events, and the time after which an event that is held may
// be sent, 0 if none is held.
func (a *announcer) result() (announced, []event, time.Duration) {
	if a.budget.changed {
		a.sent.BudgetFullAt = metav1.NewMicroTime(a.budget.fullAt)
	}
	return a.sent, a.due, a.budget.wait
}

// tokens returns the part of the budget that events need. The end of an outage is paid in
// advance: if it were held, and the side were lost again, its note would describe one long
// outage. Each event about changed causes pays for it again.
func tokens(events []event) int {
	n := 0
	for i := range events {
		switch events[i].reason {
		case v1alpha1.EventAllServersDown:
			n += 2
		case v1alpha1.EventRecovered:
		default:
			n++
		}
	}
	return n
}
