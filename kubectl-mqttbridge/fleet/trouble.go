// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// State summarizes the conditions of a bridge in one word.
type State string

// The states, in the order of trouble.
const (
	// NotReady means that the bridge does not forward, or that this is not known.
	NotReady State = "NotReady"
	// Stalled means that the bridge forwards, and the operator cannot apply the latest spec.
	Stalled State = "Stalled"
	// Degraded means that the bridge forwards with less redundancy than configured, or has trouble
	// with its buffer or with messages.
	Degraded State = "Degraded"
	// Deleting means that the bridge is being deleted.
	Deleting State = "Deleting"
	// Reconciling means that the bridge forwards, and the latest spec is being applied.
	Reconciling State = "Reconciling"
	// Ready means that the bridge forwards as configured.
	Ready State = "Ready"
	// Suspended means that the bridge is suspended: no pod is left, or the runner drains.
	Suspended State = "Suspended"
)

var order = []State{NotReady, Stalled, Degraded, Deleting, Reconciling, Ready, Suspended}

// judge sets the state, with the time, the reason and the message of the condition that decides.
func (b *Bridge) judge(object *v1alpha1.MQTTBridge) {
	isTrue := func(kind string) *metav1.Condition {
		if c := meta.FindStatusCondition(b.Conditions, kind); c != nil && c.Status == metav1.ConditionTrue {
			return c
		}
		return nil
	}
	ready := meta.FindStatusCondition(b.Conditions, v1alpha1.ConditionReady)
	stalled, reconciling := isTrue(v1alpha1.ConditionStalled), isTrue(v1alpha1.ConditionReconciling)
	degraded, suspended := isTrue(v1alpha1.ConditionDegraded), isTrue(v1alpha1.ConditionSuspended)
	switch {
	case !object.DeletionTimestamp.IsZero():
		b.decide(Deleting, ready)
		b.Since = &object.DeletionTimestamp.Time
	case suspended != nil && stalled == nil:
		b.decide(Suspended, suspended)
	case ready != nil && ready.Reason == v1alpha1.ReasonDraining && stalled == nil:
		b.decide(Suspended, ready)
	case ready == nil && suspended == nil:
		b.State, b.Since = NotReady, &object.CreationTimestamp.Time
		b.Reason, b.Message = "Unknown", "the operator has not reported on the bridge; if this lasts, check that an operator of the bridge's class runs"
	case ready == nil || ready.Status != metav1.ConditionTrue:
		b.decide(NotReady, ready)
		if stalled != nil { // it has the cause
			b.decide(NotReady, stalled)
		}
	case stalled != nil:
		b.decide(Stalled, stalled)
	case degraded != nil:
		b.decide(Degraded, degraded)
	case reconciling != nil:
		b.decide(Reconciling, reconciling)
	case object.Status.ObservedGeneration != object.Generation:
		b.State, b.Reason, b.Message = Reconciling, v1alpha1.ReasonProgressing, "the operator has not seen the latest change of the spec; if this lasts, check that an operator of the bridge's class runs"
	default:
		b.decide(Ready, ready)
	}
}

func (b *Bridge) decide(state State, by *metav1.Condition) {
	b.State = state
	if by != nil {
		since := by.LastTransitionTime.Time
		b.Since, b.Reason, b.Message = &since, by.Reason, by.Message
	}
}

// Trouble reports whether a user should look at the bridge.
func (b *Bridge) Trouble() bool {
	return b.State == NotReady || b.State == Stalled || b.State == Degraded
}

// problem describes the trouble in a line. If servers have failed, a short line names each of them with
// the reason, because the message begins with text that is the same for all bridges.
func (b *Bridge) problem(wide bool) string {
	var failed []string
	switch b.Reason {
	case v1alpha1.ReasonNotConnected, v1alpha1.ReasonActiveOnBackup, v1alpha1.ReasonStandbyFailed:
		for _, s := range b.sides() {
			for _, server := range s.status.FailedServers() {
				reason := "failed"
				if server.LastError != nil {
					reason = server.LastError.Reason
				}
				failed = append(failed, s.name+" "+server.Name+" "+reason)
			}
		}
	}
	if wide || len(failed) == 0 {
		return clean(b.Reason + ": " + b.Message)
	}
	return clean(b.Reason + ": " + strings.Join(failed, ", "))
}

// compare orders bridges by state, by the time in this state, and by name.
func compare(a, b Bridge) int {
	return cmp.Or(
		slices.Index(order, a.State)-slices.Index(order, b.State),
		timeOf(a.Since).Compare(timeOf(b.Since)),
		cmp.Compare(a.Namespace, b.Namespace),
		cmp.Compare(a.Name, b.Name),
	)
}

func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// LastSwitch returns the latest change of a server, with its side. It returns nil if there is none.
func (b *Bridge) LastSwitch() (side string, last *v1alpha1.FailoverRecord) {
	for _, s := range b.sides() {
		if s.status == nil || s.status.LastFailover == nil {
			continue
		}
		if last == nil || s.status.LastFailover.Time.After(last.Time.Time) {
			side, last = s.name, s.status.LastFailover
		}
	}
	return side, last
}

type namedSide struct {
	name   string
	status *v1alpha1.SideStatus
}

func (b *Bridge) sides() []namedSide {
	return []namedSide{{"local", b.Local}, {"remote", b.Remote}}
}
