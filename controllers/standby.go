// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// standbyFailures returns the failed servers of a side that has a server in use: the bridge
// cannot fail over to them. A side without a server in use is reported as not connected.
func standbyFailures(side *v1alpha1.SideStatus) []v1alpha1.ServerStatus {
	if side.ActiveServer() == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(side.Servers), func(s v1alpha1.ServerStatus) bool {
		return s.State != v1alpha1.ServerFailed
	})
}

// failedStandbys returns a message for each failed standby server of both sides.
func failedStandbys(local, remote *v1alpha1.SideStatus) (messages []string) {
	for _, side := range named(local, remote) {
		for _, s := range standbyFailures(side.status) {
			messages = append(messages, standbyMessage(side.name, &s))
		}
	}
	return messages
}

func standbyMessage(side string, s *v1alpha1.ServerStatus) string {
	cause := ""
	if s.LastError != nil {
		cause = fmt.Sprintf(": %s: %s", s.LastError.Reason, s.LastError.Message)
	}
	return fmt.Sprintf(msgStandbyFailed, side, s.Name, v1alpha1.PublicURL(s.URL), cause)
}

// announceStandbys returns an event for each standby server that has failed, and for each
// that is available again, since the servers in failed were announced. The loss of the
// server in use has an event of its own and is not announced again.
func announceStandbys(name string, side *v1alpha1.SideStatus, failed *[]string) (events []event) {
	if side.ActiveServer() == nil {
		return nil // AllServersDown and FailedOver announce these failures
	}
	var current []string
	for _, s := range standbyFailures(side) {
		known := slices.Contains(*failed, s.Name)
		if known || !lostBy(side.LastFailover, &s) {
			current = append(current, s.Name)
		}
		if !known && !lostBy(side.LastFailover, &s) {
			events = append(events, event{
				eventType: corev1.EventTypeWarning, reason: v1alpha1.EventStandbyFailed, action: actionReportStandby,
				note: note("%s", standbyMessage(name, &s)),
			})
		}
	}
	for i := range side.Servers {
		s := &side.Servers[i]
		if s.State == v1alpha1.ServerStandby && slices.Contains(*failed, s.Name) {
			events = append(events, event{
				eventType: corev1.EventTypeNormal, reason: v1alpha1.EventStandbyRecovered, action: actionReportStandby,
				note: note(msgStandbyRecovered, name, s.Name, v1alpha1.PublicURL(s.URL)),
			})
		}
	}
	*failed = current
	return events
}

// lostBy reports whether a server has failed since the bridge lost it at the failover.
func lostBy(f *v1alpha1.FailoverRecord, s *v1alpha1.ServerStatus) bool {
	return f != nil && f.From == s.Name && f.Drained == nil && !s.Since.After(f.Time.Time)
}
