// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// causesInterval is the shortest time between two events about the causes of one outage. Attempts can fail
// for alternating causes, and the first attempt after a loss often fails for another cause than the loss.
const causesInterval = time.Minute

// outageCauses are the causes in the latest event about an outage.
type outageCauses struct {
	// Hash is a hash of the causes.
	Hash string `json:"hash"`
	// Announced is when the event was sent.
	Announced metav1.MicroTime `json:"announced"`
}

// outageRecord is the part of the record of sent events about the outage of a side.
type outageRecord struct {
	down   *metav1.MicroTime
	causes *outageCauses
}

// outages returns the parts of the record about the outages of both sides.
func outages(s *announced) (sides struct{ local, remote outageRecord }) {
	sides.local = outageRecord{&s.LocalDown, &s.LocalDownCauses}
	sides.remote = outageRecord{&s.RemoteDown, &s.RemoteDownCauses}
	return sides
}

// end records that the side has no outage.
func (r outageRecord) end() { *r.down, *r.causes = metav1.MicroTime{}, outageCauses{} }

// announceOutage returns an event when every server of the side is down, when the causes have
// changed, and when a server is connected again.
func announceOutage(name string, side *v1alpha1.SideStatus, r outageRecord, now time.Time) []event {
	switch active := side.ActiveServer(); {
	case active != nil && !r.down.IsZero():
		lasted := now.Sub(r.down.Time).Round(time.Millisecond)
		r.end()
		return []event{{
			eventType: corev1.EventTypeNormal,
			reason:    v1alpha1.EventRecovered,
			action:    actionReportOutage,
			part:      partOfSide(name),
			note:      note(msgRecovered, name, lasted, active.Name, v1alpha1.PublicURL(active.URL)),
		}}
	case r.down.IsZero() && allFailed(side):
		*r.down = metav1.NewMicroTime(now)
		return r.announceCauses(msgAllServersDown, name, side, now)
	case r.changed(side) && !now.Before(r.dueAt()):
		return r.announceCauses(msgStillDown, name, side, now)
	default:
		return nil
	}
}

func (r outageRecord) announceCauses(format, name string, side *v1alpha1.SideStatus, now time.Time) []event {
	*r.causes = outageCauses{hashOfCauses(side), metav1.NewMicroTime(now)}
	return []event{{
		eventType: corev1.EventTypeWarning,
		reason:    v1alpha1.EventAllServersDown,
		action:    actionReportOutage,
		part:      partOfSide(name),
		note:      note(format, name, side.FailureSummary()),
	}}
}

// changed reports whether every server is still down, for other causes than announced. The record of an earlier
// version does not have the causes.
func (r outageRecord) changed(side *v1alpha1.SideStatus) bool {
	return !r.down.IsZero() && r.causes.Hash != "" && allFailed(side) && hashOfCauses(side) != r.causes.Hash
}

// dueAt is when other causes may be announced. The time since the latest event doubles during an outage, so that the
// number of events is small, also if the causes alternate.
func (r outageRecord) dueAt() time.Time {
	latest := r.causes.Announced.Time
	return latest.Add(max(causesInterval, latest.Sub(r.down.Time)))
}

// untilDue returns the time until changed causes may be announced, 0 if there are none.
func (r outageRecord) untilDue(side *v1alpha1.SideStatus, now time.Time) time.Duration {
	if !r.changed(side) {
		return 0
	}
	return max(0, r.dueAt().Sub(now))
}

// hashOfCauses returns a hash of the servers of a side and of the causes of their failures.
func hashOfCauses(side *v1alpha1.SideStatus) string {
	var causes []string
	for i := range side.Servers {
		causes = append(causes, side.Servers[i].Name)
		if e := side.Servers[i].LastError; e != nil {
			causes = append(causes, e.Reason, withoutDigits(e.Message))
		}
	}
	return hash(strings.Join(causes, "\n"))
}

func allFailed(side *v1alpha1.SideStatus) bool {
	return side != nil && side.Active == nil && len(side.Servers) > 0 &&
		!slices.ContainsFunc(side.Servers, func(s v1alpha1.ServerStatus) bool {
			return s.State != v1alpha1.ServerFailed
		})
}
