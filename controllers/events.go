// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/count"
)

// event is a Kubernetes event that is sent once.
type event struct {
	eventType string // corev1.EventTypeNormal or EventTypeWarning
	reason    string
	action    string
	note      string
	// part is the path of the part of the bridge that the event is about, such as
	// status.remote. It is empty if the event is about the whole bridge.
	part string
	// related is another object that the event is about, nil if there is none.
	related runtime.Object
}

// maxNote is the largest length of an event's note, in bytes, that the API server accepts.
const maxNote = 1024

// announce compares the observation with the events that were sent before. It returns the
// events that are due, and the record of sent events with them, which is written before
// they are sent, so that each event is sent once. Events above the budget are held; then it
// returns the time after which the first of them may be sent. It is pure.
//
// A side is down when each of its servers has failed. While the next server is still being
// tried, the side is not down: if that server connects, it is a failover, which has its own
// event.
func announce(o *observation, sent announced, now time.Time) (announced, []event, time.Duration) {
	a := &announcer{sent: sent, budget: newBudget(sent.BudgetFullAt.Time, now)}
	a.add(func(s *announced) []event { return announceTermination(o, &s.Terminated) })
	a.add(func(s *announced) []event { return announceRollout(o, &s.RolloutStopped, now) })
	a.add(func(s *announced) []event { return announceTakeover(o.bridge.Status.LastTakeover, &s.Takeover) })
	announceSides(a, o, now)
	announceMessages(a, o)
	return a.result()
}

// announceSides adds the events about the servers of both sides.
func announceSides(a *announcer, o *observation, now time.Time) {
	local, remote := o.sides()
	if o.suspended() {
		// A suspended bridge has no outage: none continues, and none ends.
		outages(&a.sent).local.end()
		outages(&a.sent).remote.end()
	} else {
		a.add(func(s *announced) []event { return announceOutage("local", local, outages(s).local, now) })
		a.add(func(s *announced) []event { return announceOutage("remote", remote, outages(s).remote, now) })
		a.budget.hold(outages(&a.sent).local.untilDue(local, now))
		a.budget.hold(outages(&a.sent).remote.untilDue(remote, now))
	}
	runner := o.bridge.Status.ActiveRunner()
	a.add(func(s *announced) []event {
		return announceSwitch("local", local, runner, switchRecord{&s.LocalSwitch, &s.LocalSwitches, &s.LocalSwitchPod})
	})
	a.add(func(s *announced) []event {
		return announceSwitch("remote", remote, runner, switchRecord{&s.RemoteSwitch, &s.RemoteSwitches, &s.RemoteSwitchPod})
	})
	a.add(func(s *announced) []event { return announceRefusal("local", local, &s.LocalRequest) })
	a.add(func(s *announced) []event { return announceRefusal("remote", remote, &s.RemoteRequest) })
	a.add(func(s *announced) []event { return announceStandbys("local", local, &s.LocalStandbys) })
	a.add(func(s *announced) []event { return announceStandbys("remote", remote, &s.RemoteStandbys) })
}

// announceMessages adds the events about the messages of both directions.
func announceMessages(a *announcer, o *observation) {
	localToRemote, remoteToLocal := o.backlogs()
	reported := o.reportingPod() != nil
	a.add(func(s *announced) []event {
		return announceBuffer("localToRemote", localToRemote, reported, &s.LocalToRemoteBuffer)
	})
	a.add(func(s *announced) []event {
		return announceBuffer("remoteToLocal", remoteToLocal, reported, &s.RemoteToLocalBuffer)
	})
	u := o.unforwardable()
	a.add(func(s *announced) []event {
		return announceUnforwardable("localToRemote", u.LocalToRemote, &s.LocalToRemoteMessage)
	})
	a.add(func(s *announced) []event {
		return announceUnforwardable("remoteToLocal", u.RemoteToLocal, &s.RemoteToLocalMessage)
	})
}

// announceCause returns a Warning event if the bridge is stalled or a child could not be
// applied, for another cause than before. before are the conditions that the status held, after the
// conditions that it now holds. The status is the record, and the budget does not count these
// events: a pass that fails is repeated after up to a minute, and other causes change only with
// the spec or the pod.
func announceCause(before, after []metav1.Condition) []event {
	for i := range after {
		c := &after[i]
		if c.Type != v1alpha1.ConditionStalled && c.Reason != v1alpha1.ReasonApplyFailed {
			continue
		}
		old := meta.FindStatusCondition(before, c.Type)
		if old != nil && old.Reason == c.Reason && withoutDigits(old.Message) == withoutDigits(c.Message) {
			return nil
		}
		return []event{{eventType: corev1.EventTypeWarning, reason: c.Reason, action: actionApply, note: note("%s", c.Message)}}
	}
	return nil
}

// withoutDigits removes the digits of a message. Two messages that differ only in digits,
// such as port numbers, times or counts, have the same cause.
func withoutDigits(message string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, message)
}

// announceSwitch returns an event for the side's latest change of server if it is later
// than the announced switch.
func announceSwitch(name string, side *v1alpha1.SideStatus, runner *v1alpha1.RunnerStatus, record switchRecord) []event {
	if side == nil || side.LastFailover == nil || runner == nil {
		return nil
	}
	f := side.LastFailover
	sent, counted := record.before(runner)
	if !f.Time.After(sent.Time) {
		return nil
	}
	skipped := skippedSwitches(side, runner.StartTime, sent, counted)
	*record.sent, *record.counted, *record.pod = f.Time, side.Switches, runner.Pod
	e := event{
		eventType: corev1.EventTypeWarning,
		reason:    v1alpha1.EventFailedOver,
		action:    actionReportFailover,
		part:      partOfSide(name),
	}
	position := func(server string) int {
		return slices.IndexFunc(side.Servers, func(s v1alpha1.ServerStatus) bool { return s.Name == server })
	}
	gap := duration(ptr.Deref(f.DurationMilliseconds, 0))
	// planned describes a switch from a server that had not failed.
	planned := func(reason, message string) {
		e.eventType, e.reason = corev1.EventTypeNormal, reason
		e.note = note(message, name, f.From, f.To, gap)
	}
	switch {
	case f.Reason == v1alpha1.ReasonServerRemoved && f.From == f.To:
		planned(v1alpha1.EventSwitched, msgURLChanged)
	case f.Reason == v1alpha1.ReasonServerRemoved:
		planned(v1alpha1.EventSwitched, msgServerRemoved)
	case f.Reason == v1alpha1.ReasonSwitchRequested:
		planned(v1alpha1.EventSwitched, msgSwitched)
	case f.Reason == v1alpha1.ReasonFailedBack:
		planned(v1alpha1.EventFailedBack, msgReturned)
	default:
		message := msgFailedOver
		if position(f.To) >= 0 && position(f.To) < position(f.From) {
			e.eventType, e.reason, message = corev1.EventTypeNormal, v1alpha1.EventFailedBack, msgFailedBack
		}
		silence := ""
		if silent := ptr.Deref(f.SilentMilliseconds, 0); silent > 0 {
			silence = fmt.Sprintf(msgSilence, duration(silent))
		}
		e.note = note(message, name, f.From, f.To, silence, gap, f.Reason)
	}
	e.note += skipped
	return []event{e}
}

// partOfSide returns the path of the status of a side.
func partOfSide(name string) string { return "status." + name }

// skippedSwitches describes the switches since the announced switch that have no event: several
// within one report, or switches above the budget. It returns an empty string if there are
// none, or if their number is not known. A new runner counts from 0.
func skippedSwitches(side *v1alpha1.SideStatus, started metav1.Time, sent metav1.MicroTime, counted *int64) string {
	n, since := ptr.Deref(side.Switches, 0)-1, started.Time
	if !started.After(sent.Time) {
		if counted == nil {
			return ""
		}
		n, since = n-*counted, sent.Time
	}
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf(msgMoreSwitches, count.Of(n, "more switch"), since.UTC().Format(time.RFC3339))
}

// duration formats a number of milliseconds: in seconds from one second on.
func duration(milliseconds int64) string {
	if milliseconds < 1000 {
		return fmt.Sprintf("%d ms", milliseconds)
	}
	return fmt.Sprintf("%.1f s", float64(milliseconds)/1000)
}

// announceRefusal returns an event for a refused switch if the refusal is newer than the
// announced one.
func announceRefusal(name string, side *v1alpha1.SideStatus, sent *metav1.MicroTime) []event {
	if side == nil || side.RequestedSwitch == nil || side.RequestedSwitch.State != v1alpha1.SwitchRefused ||
		!side.RequestedSwitch.Time.After(sent.Time) {
		return nil
	}
	*sent = side.RequestedSwitch.Time
	return []event{{
		eventType: corev1.EventTypeWarning,
		reason:    v1alpha1.EventSwitchRefused,
		action:    actionReportRequest,
		part:      partOfSide(name),
		note:      note(msgSwitchRefused, name, side.RequestedSwitch.Server, side.RequestedSwitch.Message),
	}}
}

// announceRollout returns an event when the pod that a roll-out has created does not start.
// sent is the hash of the announced pod template. It is empty when the bridge has recovered.
func announceRollout(o *observation, sent *string, now time.Time) []event {
	d := o.deployment
	if d == nil || !recovers(d) {
		*sent = ""
		return nil
	}
	annotations, before := stagingOf(d)
	template := annotations[annotationTemplateHash]
	if *sent == template || o.wrote || d.Status.ObservedGeneration < d.Generation {
		return nil
	}
	trouble := cmp.Or(podFailure(o.pods, now), podsRefused(d), progressFailure(d))
	if trouble == "" {
		return nil
	}
	*sent = template
	return []event{{
		eventType: corev1.EventTypeWarning,
		reason:    v1alpha1.EventRolloutStopped,
		action:    actionReportRollout,
		note:      note(msgRolloutStopped, before, trouble),
	}}
}

// note formats the text of an event, cut to the length that the API server accepts.
func note(format string, args ...any) string {
	return cut(fmt.Sprintf(format, args...), maxNote)
}

// cut cuts a text to a length in bytes.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	const more = "..."
	return strings.ToValidUTF8(text[:limit-len(more)], "") + more // ToValidUTF8 removes a character that was cut
}
