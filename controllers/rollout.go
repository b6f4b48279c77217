// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/intstr"
)

// cause is the cause of a change of a pod template.
type cause int

const (
	causeNone     cause = iota // the template is as wanted
	causeUser                  // the user has changed a part of the spec that the pod depends on
	causeOperator              // the operator or its default image has changed
)

// causeOf returns the cause of the difference between the annotations of a Deployment and the
// wanted annotations. A Deployment without the hash of the spec, which an earlier operator has
// made, counts as changed by the operator.
func causeOf(live, wanted map[string]string) cause {
	spec := live[annotationPodSpecHash]
	switch {
	case live[annotationTemplateHash] == wanted[annotationTemplateHash]:
		return causeNone
	case spec != "" && spec != wanted[annotationPodSpecHash], runnersOf(live) != runnersOf(wanted):
		return causeUser
	default:
		return causeOperator
	}
}

// health is how well a bridge works. It is stored in labelHealthBefore.
type health string

const (
	healthUnavailable health = "Unavailable"    // no pod is ready
	healthAvailable   health = "Available"      // the pod is ready, but a side has no server
	healthAlone       health = "WithoutStandby" // the bridge forwards, but one of its two pods is missing
	healthReady       health = "Ready"          // the bridge forwards
)

// atLeast reports whether h is as good as other, or better. A health that this version does
// not know counts as Ready, so that a roll-out waits rather than continues.
func (h health) atLeast(other health) bool { return h.rank() >= other.rank() }

func (h health) rank() int {
	switch h {
	case healthUnavailable:
		return 0
	case healthAvailable:
		return 1
	case healthAlone:
		return 2
	case healthReady:
		return 3
	default:
		return 3
	}
}

// member is a bridge of the fleet, as a roll-out sees it. The fleet is all bridges that the
// operator manages and that are not suspended.
type member struct {
	revision string // the revision of the operator that made the pod template
	template string // the hash of the pod template
	// recovering is true if a roll-out has replaced the pod, and the bridge is not yet as
	// healthy as before.
	recovering bool
	available  bool // the pod is ready
}

// tally counts the members of a fleet.
type tally struct {
	bridges, recovering int
	revisions           map[string]revisionTally
}

// revisionTally counts the members whose pod template is of one revision.
type revisionTally struct{ recovering, working int }

// add adds a member n times.
func (t *tally) add(m member, n int) {
	if t.revisions == nil {
		t.revisions = map[string]revisionTally{}
	}
	of := t.revisions[m.revision]
	t.bridges += n
	switch {
	case m.recovering:
		t.recovering += n
		of.recovering += n
	case m.available:
		of.working += n
	}
	t.revisions[m.revision] = of
	if of == (revisionTally{}) {
		delete(t.revisions, m.revision)
	}
}

// slots returns the number of further bridges whose pods a roll-out of the revision may
// replace now.
//
// At most maxUnavailable bridges recover at the same time. A roll-out starts with one bridge,
// and each bridge that works with the revision permits one more at the same time, so that a
// revision that does not work stops one bridge and not maxUnavailable bridges. While bridges
// do not recover, the roll-out stops. Bridges that an earlier revision has stopped count, too:
// other bridges wait until they work again.
func (t *tally) slots(revision string, maxUnavailable intstr.IntOrString) int {
	proven := t.revisions[revision].working
	return max(0, min(limit(maxUnavailable, t.bridges), 1+proven)-t.recovering)
}

// DefaultMaxUnavailable is the default share of the bridges that may recover at the same time.
var DefaultMaxUnavailable = intstr.FromString("10%")

// ParseMaxUnavailable parses the value of a flag: a number from 1, or a percentage from 1% to
// 100%.
func ParseMaxUnavailable(value string) (intstr.IntOrString, error) {
	parsed := intstr.Parse(value)
	n, err := intstr.GetScaledValueFromIntOrPercent(&parsed, 100, false)
	if err != nil || n < 1 || parsed.Type == intstr.String && n > 100 {
		return parsed, fmt.Errorf("%q must be a number from 1, such as 5, or a percentage from 1%% to 100%%, such as 10%%", value)
	}
	return parsed, nil
}

// unproven reports whether bridges recover with the revision, and none works with it yet.
func (t *tally) unproven(revision string) bool {
	of := t.revisions[revision]
	return of.recovering > 0 && of.working == 0
}

// limit returns the number of bridges that may recover at the same time: at least 1, because a
// roll-out would otherwise never start.
func limit(maxUnavailable intstr.IntOrString, bridges int) int {
	n, err := intstr.GetScaledValueFromIntOrPercent(&maxUnavailable, bridges, false)
	if err != nil {
		return 1 // ParseMaxUnavailable has validated it
	}
	return max(1, n)
}
