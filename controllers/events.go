// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// event is a Kubernetes event that is sent once.
type event struct {
	eventType string // corev1.EventTypeNormal or EventTypeWarning
	reason    string
	action    string
	note      string
}

// maxNote is the largest length of an event's note, in bytes, that the API server accepts.
const maxNote = 1024

// announce compares the runner's report with the events that were sent before. It returns
// the events that are due, and the marker that is written with the status so that each
// event is sent once. It is pure.
//
// A side is down when each of its servers has failed. While the next server is still being
// tried, the side is not down: if that server connects, it is a failover, which has its own
// event.
func announce(o *observation, now time.Time) (*v1alpha1.Announced, []event) {
	marker := ptr.Deref(o.bridge.Status.Announced, v1alpha1.Announced{})
	local, remote := o.sides()
	var events []event
	events = append(events, announceFailover("local", local, &marker.LocalFailover)...)
	events = append(events, announceFailover("remote", remote, &marker.RemoteFailover)...)
	events = append(events, announceRefusal("local", local, &marker.LocalRequest)...)
	events = append(events, announceRefusal("remote", remote, &marker.RemoteRequest)...)
	u := o.unforwardable()
	events = append(events, announceUnforwardable("localToRemote", u.LocalToRemote, &marker.LocalToRemoteMessage)...)
	events = append(events, announceUnforwardable("remoteToLocal", u.RemoteToLocal, &marker.RemoteToLocalMessage)...)
	events = append(events, announceRollout(o, &marker.RolloutStopped)...)
	if o.suspended() {
		// A suspended bridge has no outage: none continues, and none ends.
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

// announceFailover returns an event for the side's latest change of server if it is newer
// than the announced one.
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
	position := func(server string) int {
		return slices.IndexFunc(side.Servers, func(s v1alpha1.ServerStatus) bool { return s.Name == server })
	}
	switch {
	case f.Reason == v1alpha1.ReasonSwitchRequested:
		e.eventType, e.reason, message = corev1.EventTypeNormal, v1alpha1.EventSwitched, msgSwitched
	case f.Reason == v1alpha1.ReasonFailedBack, position(f.To) >= 0 && position(f.To) < position(f.From):
		e.eventType, e.reason, message = corev1.EventTypeNormal, v1alpha1.EventFailedBack, msgFailedBack
	}
	e.note = note(message, name, f.From, f.To, ptr.Deref(f.DurationMilliseconds, 0), f.Reason)
	return []event{e}
}

// announceRefusal returns an event for a refused switch if the refusal is newer than the
// announced one.
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
		note:      note(msgSwitchRefused, name, side.RequestedSwitch.Server, side.RequestedSwitch.Message),
	}}
}

// announceRollout returns an event when the pod that a roll-out has created does not start.
// announced is the hash of the announced pod template. It is empty when the bridge has
// recovered.
func announceRollout(o *observation, announced *string) []event {
	d := o.deployment
	if d == nil || d.Labels[labelHealthBefore] == "" {
		*announced = ""
		return nil
	}
	template := d.Annotations[annotationTemplateHash]
	if *announced == template || o.wrote || d.Status.ObservedGeneration < d.Generation {
		return nil
	}
	trouble := cmp.Or(podFailure(o.pods), podsRefused(d), progressFailure(d))
	if trouble == "" {
		return nil
	}
	*announced = template
	return []event{{
		eventType: corev1.EventTypeWarning,
		reason:    v1alpha1.EventRolloutStopped,
		action:    actionReportRollout,
		note:      note(msgRolloutStopped, d.Labels[labelHealthBefore], trouble),
	}}
}

// progressFailure returns why a Deployment has made no progress for a long time.
func progressFailure(d *appsv1.Deployment) string {
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentProgressing && c.Status == corev1.ConditionFalse {
			return c.Message
		}
	}
	return ""
}

// announceOutage returns an event when every server of the side is down, and another one
// when a server is connected again.
func announceOutage(name string, side *v1alpha1.SideStatus, down *metav1.MicroTime, now time.Time) []event {
	switch active := side.ActiveServer(); {
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
		!slices.ContainsFunc(side.Servers, func(s v1alpha1.ServerStatus) bool {
			return s.State != v1alpha1.ServerFailed
		})
}

// note formats the text of an event, cut to the length that the API server accepts.
func note(format string, args ...any) string {
	text := fmt.Sprintf(format, args...)
	if len(text) <= maxNote {
		return text
	}
	const more = "..."
	return strings.ToValidUTF8(text[:maxNote-len(more)], "") + more // ToValidUTF8 removes a character that was cut
}
