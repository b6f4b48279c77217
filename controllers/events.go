// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// event is what is told once to whoever watches the bridge.
type event struct {
	eventType string // corev1.EventTypeNormal or EventTypeWarning
	reason    string
	action    string
	note      string
}

// maxNote is the length of an event's note that the API server takes.
const maxNote = 1024

// announce compares what the runner reports with what was announced before, and
// returns the events that are due and the marker to write with the status, so that
// each is sent once. It is pure.
//
// A side is down when every one of its servers has failed, not while the next one is
// still being tried: that is a switch, and has an event of its own.
func announce(o *observation, now time.Time) (*v1alpha1.Announced, []event) {
	marker := ptr.Deref(o.bridge.Status.Announced, v1alpha1.Announced{})
	local, remote := o.sides()
	var events []event
	events = append(events, announceFailover("local", local, &marker.LocalFailover)...)
	events = append(events, announceFailover("remote", remote, &marker.RemoteFailover)...)
	events = append(events, announceRefusal("local", local, &marker.LocalRequest)...)
	events = append(events, announceRefusal("remote", remote, &marker.RemoteRequest)...)
	u := o.unforwardable()
	events = append(events, announceUnforwardable("forwards", u.LocalToRemote, &marker.LocalToRemoteMessage)...)
	events = append(events, announceUnforwardable("subscriptions", u.RemoteToLocal, &marker.RemoteToLocalMessage)...)
	if o.suspended() {
		// Someone stopped the bridge: no outage goes on, and none ends.
		marker.LocalDown, marker.RemoteDown = metav1.MicroTime{}, metav1.MicroTime{}
	} else {
		events = append(events, announceOutage("local", local, &marker.LocalDown, now)...)
		events = append(events, announceOutage("remote", remote, &marker.RemoteDown, now)...)
	}
	if marker == (v1alpha1.Announced{}) {
		return nil, events
	}
	return &marker, events
}

// announceFailover tells of the side's latest switch when it is newer than the
// announced one.
func announceFailover(name string, side *v1alpha1.SideStatus, announced *metav1.MicroTime) []event {
	if side == nil || side.LastFailover == nil || !side.LastFailover.Time.After(announced.Time) {
		return nil
	}
	f := side.LastFailover
	*announced = f.Time
	e := event{
		eventType: corev1.EventTypeWarning,
		reason:    v1alpha1.EventFailedOver,
		action:    actionReportFailover,
	}
	message := msgFailedOver
	place := func(server string) int {
		return slices.IndexFunc(side.Servers, func(e v1alpha1.ServerStatus) bool { return e.Name == server })
	}
	switch {
	case f.Reason == v1alpha1.ReasonSwitchRequested:
		e.eventType, e.reason, message = corev1.EventTypeNormal, v1alpha1.EventSwitched, msgSwitched
	case f.Reason == v1alpha1.ReasonFailedBack, place(f.To) >= 0 && place(f.To) < place(f.From):
		e.eventType, e.reason, message = corev1.EventTypeNormal, v1alpha1.EventFailedBack, msgFailedBack
	}
	e.note = note(message, name, f.From, f.To, ptr.Deref(f.DurationMilliseconds, 0), f.Reason)
	return []event{e}
}

// announceRefusal tells that a requested switch is refused.
func announceRefusal(name string, side *v1alpha1.SideStatus, announced *metav1.MicroTime) []event {
	if side == nil || side.RequestedSwitch == nil || side.RequestedSwitch.State != v1alpha1.SwitchRefused ||
		!side.RequestedSwitch.Time.After(announced.Time) {
		return nil
	}
	*announced = side.RequestedSwitch.Time
	return []event{{
		eventType: corev1.EventTypeWarning,
		reason:    v1alpha1.EventSwitchRefused,
		action:    actionReportRequest,
		note:      note(msgSwitchRefused, name, side.RequestedSwitch.Request, side.RequestedSwitch.Message),
	}}
}

// announceOutage tells when every server of the side is down, and when one is back.
func announceOutage(name string, side *v1alpha1.SideStatus, down *metav1.MicroTime, now time.Time) []event {
	switch active := side.InUse(); {
	case active != nil && !down.IsZero():
		lasted := now.Sub(down.Time).Round(time.Millisecond)
		*down = metav1.MicroTime{}
		return []event{{
			eventType: corev1.EventTypeNormal,
			reason:    v1alpha1.EventRecovered,
			action:    actionReportOutage,
			note:      note(msgRecovered, name, lasted, active.Name, v1alpha1.PublicURL(active.URL)),
		}}
	case down.IsZero() && allFailed(side):
		*down = metav1.NewMicroTime(now)
		return []event{{
			eventType: corev1.EventTypeWarning,
			reason:    v1alpha1.EventAllServersDown,
			action:    actionReportOutage,
			note:      note(msgAllServersDown, name, side.Summary()),
		}}
	default:
		return nil
	}
}

func allFailed(side *v1alpha1.SideStatus) bool {
	return side != nil && side.Active == nil && len(side.Servers) > 0 &&
		!slices.ContainsFunc(side.Servers, func(e v1alpha1.ServerStatus) bool {
			return e.State != v1alpha1.ServerFailed
		})
}

// note formats an event's text, cut to what the API server takes.
func note(format string, args ...any) string {
	text := fmt.Sprintf(format, args...)
	if len(text) <= maxNote {
		return text
	}
	const more = "..."
	return strings.ToValidUTF8(text[:maxNote-len(more)], "") + more // not within a character
}
