// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"slices"
	"time"
)

const (
	// late is how much later than by --peer-timeout a takeover is accepted on a busy machine.
	late = 2500 * time.Millisecond
	// halfOpen is the time for which a runner may hear the other one after the network loses the data to it.
	halfOpen = 3 * time.Second
)

// checkLate checks that a runner takes over in time: with --peer-timeout, no packet of the bridge is missing for longer
// than a runner waits that runs all this time and cannot hear the other one. The packets of messages follow each
// other at intervals of milliseconds while a runner forwards.
func (j *judgement) checkLate(a *act) {
	previous, ok := j.latest[a.server]
	if j.timeout == 0 || !ok && a.connect {
		return // no message has arrived yet
	}
	j.latest[a.server] = a.at
	if !ok {
		return
	}
	for runner := range j.frozen {
		for _, f := range slices.Concat(j.cut, j.frozen[1-runner]) {
			from, to := f.from, f.end(a.at)
			if from.Before(previous) {
				from = previous
			}
			from = j.runsSince(runner, from, to)
			if missing := to.Sub(from) - late; missing > j.timeoutOf(runner) && missing > j.longestWait(runner, a) {
				j.fail(a, "no packet has arrived from %s to %s, although runner %d ran and could not hear the other one", clock(from), clock(to), runner)
			}
		}
	}
}

// runsSince returns the time from which a runner runs without a fault until to. It does not hear the other one
// meanwhile: after a hand-over that the network has lost, it may hear the other one for a time.
func (j *judgement) runsSince(runner int, from, to time.Time) time.Time {
	own := slices.Concat(j.frozen[runner], j.down[runner])
	for _, at := range j.handOvers[runner] {
		own = append(own, span{at, at.Add(halfOpen)})
	}
	for _, f := range own {
		if end := f.end(to); f.from.Before(to) && end.After(from) {
			from = end
		}
	}
	return from
}

// longestWait returns the longest time after which a runner is active again. The wait of the runner that is not
// preferred doubles each time. The judge does not know which CONNECTs have followed a wait, and counts all of them.
func (j *judgement) longestWait(runner int, before *act) time.Duration {
	wait := j.timeoutOf(runner)
	if runner == 0 {
		return wait
	}
	connects := 0
	for i := range j.acts {
		if b := &j.acts[i]; b.connect && b.server == before.server && b.runner() == runner && b.at.Before(before.at) {
			connects++
		}
	}
	return wait << max(connects-1, 0)
}
