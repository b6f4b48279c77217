// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"slices"
	"time"
)

// judge returns the violations of the promises of docs/two-runners.md that the packets show:
//
//   - A runner takes a session over from the other one only if a cause of the documentation permits
//     it: the other process was ended, it has handed over, or with --peer-timeout it could not be
//     heard for this time. A runner that takes over again in one such time has waited since the
//     takeover by the other one, or since a server ended its session before. If both have taken over while
//     they were cut off, one of them continues when they meet.
//   - A server accepts no message of a process after another process has connected to it. Without
//     --peer-timeout no server accepts one after another process has connected to any server.
//   - A runner that was frozen sends no message on its earlier connections, except for a write that had begun,
//     and connects only after it has heard the other runner.
//   - With --peer-timeout, the bridge forwards again when a runner without a fault has waited for this time.
//
// It is called when nothing changes the history any more.
func (h *history) judge() (violations []string) {
	j := judgement{history: h, holders: map[string]*holder{}, completed: map[string]time.Time{}, latest: map[string]time.Time{}}
	for i := range h.acts {
		j.check(&h.acts[i])
	}
	return j.violations
}

// judgement is the state of a judge.
type judgement struct {
	*history
	// holders are the processes that have connected last, by server; with the name anyServer, without
	// --peer-timeout, to any of them.
	holders map[string]*holder
	// completed are the times of the first message on a connection after a freeze, by server, connection and freeze.
	completed map[string]time.Time
	// latest are the times of the latest packets since the first message, by server.
	latest     map[string]time.Time
	violations []string
}

const anyServer = "any server"

// holder is a process whose claim counts at a server.
type holder struct {
	user      string
	runner    int
	connected time.Time
	// timed is the time without contact that has permitted the takeover by the holder. It is zero if
	// another cause has.
	timed span
	// met is whether the claim has continued because the runners could meet again.
	met bool
}

func (j *judgement) fail(a *act, format string, args ...any) {
	j.violations = append(j.violations, fmt.Sprintf("%s: %s", a, fmt.Sprintf(format, args...)))
}

func (j *judgement) check(a *act) {
	j.checkFreeze(a)
	if a.overtaken {
		return // the server did not process it
	}
	j.checkLate(a)
	j.checkHolder(a, a.server)
	if j.timeout == 0 {
		j.checkHolder(a, anyServer)
	}
}

// checkFreeze checks a packet of a runner that was frozen before.
func (j *judgement) checkFreeze(a *act) {
	f, ok := j.freezeOf(a.runner(), a.at)
	if !ok {
		return
	}
	if !a.connect && a.connected.Before(f.from) && !j.begunBefore(a, f) {
		j.fail(a, "the runner continued at %s after a freeze of %s, and uses a connection from before", clock(f.to), f.to.Sub(f.from))
	}
	if !a.connect || j.timeout == 0 || j.saidGoodbye(1-a.runner(), a.at) {
		return
	}
	// The process is confirmed only by the other runner, which it cannot hear. It may take over after
	// the timeout.
	silence := j.silence(1-a.runner(), a.at, 0)
	retake := a.at.Sub(f.to) >= j.timeoutOf(a.runner())-early
	if !silence.from.IsZero() && silence.from.Before(f.to) && !retake && j.processBegan(a.user, f.to) {
		j.fail(a, "the runner continued at %s after a freeze of %s, and could not hear the other runner since", clock(f.to), f.to.Sub(f.from))
	}
}

// begunBefore reports whether the write of a message may have begun before a freeze, although the server has read it
// afterwards. The runner has received the message before the freeze, and completes one write for each connection.
func (j *judgement) begunBefore(a *act, f span) bool {
	key := fmt.Sprint(a.server, a.connected, f.to)
	first, ok := j.completed[key]
	if !ok {
		first = a.at
		j.completed[key] = first
	}
	return a.sent.Before(f.from) && a.at.Sub(f.to) <= inTransit && a.at.Sub(first) <= inWrite
}

// processBegan reports whether a process has sent a packet before a time.
func (j *judgement) processBegan(user string, before time.Time) bool {
	for i := range j.acts {
		if j.acts[i].user == user {
			return j.acts[i].at.Before(before)
		}
	}
	return false
}

// endedBefore reports whether the test has ended a process before a time, or requested its end.
func (j *judgement) endedBefore(user string, t time.Time) bool {
	ended, ok := j.ended[user]
	return ok && ended.Before(t)
}

// saidGoodbye reports whether the test has ended a process of a runner before a time, or requested its
// end: it may have said goodbye, so that the other runner needs no contact.
func (j *judgement) saidGoodbye(runner int, t time.Time) bool {
	for user, ended := range j.ended {
		if (&act{user: user}).runner() == runner && ended.Before(t) {
			return true
		}
	}
	return false
}

// checkHolder checks that a packet is of the process that has connected last, or is a permitted
// CONNECT of another one.
func (j *judgement) checkHolder(a *act, server string) {
	before := j.holders[server]
	switch {
	case before != nil && before.user == a.user:
	case a.connect && before != nil && j.sentBeforeKill(a): // the process cannot use the connection
	case !a.connect:
		if server == anyServer && a.at.Sub(before.connected) < inTransit {
			return // it was on its way
		}
		j.fail(a, "process %s has connected to %s before", before.user, server)
	default:
		next := &holder{user: a.user, runner: a.runner(), connected: a.at}
		if before != nil && !j.permits(before, next) {
			j.fail(a, "process %s has connected to %s before, and no event permits the takeover; silence since %s", before.user, server, clock(j.silence(before.runner, a.at, reconnecting).from))
		}
		j.holders[server] = next
	}
}

// sentBeforeKill reports whether a process was killed while its packet was on its way. The other runner may
// have connected meanwhile.
func (j *judgement) sentBeforeKill(a *act) bool {
	killed, ok := j.killed[a.user]
	return ok && killed.Before(a.at) && a.at.Sub(killed) < inTransit
}

// permits reports whether an event permits the takeover from one process by another.
func (j *judgement) permits(from, to *holder) bool {
	if j.endedBefore(from.user, to.connected) || from.runner == to.runner {
		return true
	}
	for _, at := range j.handOvers[from.runner] {
		if at.Before(to.connected) && at.After(from.connected.Add(-reconnecting)) {
			return true
		}
	}
	if j.timeout == 0 {
		return false
	}
	if j.meets(from, to) {
		to.timed = from.timed
		return true
	}
	silence := j.silence(from.runner, to.connected, reconnecting)
	if silence.from.IsZero() || to.connected.Sub(silence.from) < j.timeoutOf(to.runner)-early && !j.retakes(from, to, silence) {
		return false
	}
	to.timed = silence
	return !from.timed.from.Equal(silence.from) || j.retakes(from, to, silence)
}

// meets reports whether the network has healed after both runners have taken over: one of them stands down. After
// that, the other one does not.
func (j *judgement) meets(from, to *holder) bool {
	to.met = from.timed != span{} && !from.met && slices.ContainsFunc(j.cut, func(c span) bool {
		return c.from.Before(from.connected) && c.to.After(from.connected) && c.to.Before(to.connected)
	})
	return to.met
}

// retakes reports whether a runner has waited for its timeout before it takes over again.
func (j *judgement) retakes(from, to *holder, silence span) bool {
	return from.timed.from.Equal(silence.from) && to.connected.Sub(j.waitsSince(from, to)) >= j.timeoutOf(to.runner)-early
}

// waitsSince returns the time since which a runner waits before it takes over again: it has lost its session to
// the other runner. It waits already before if it has not connected since it was frozen, or since a server ended its
// session: it does not know whether the other runner was the reason.
func (j *judgement) waitsSince(from, to *holder) time.Time {
	lost := from.connected
	latest := j.latestConnect(to.runner, lost)
	if f, ok := j.freezeOf(to.runner, to.connected); ok && f.from.Before(lost) && f.to.After(latest) {
		return f.to
	}
	for _, end := range j.sessionEnds {
		if end.After(latest) && end.Before(lost) {
			return end
		}
	}
	return lost
}

// latestConnect returns the time of the latest CONNECT of a runner before a time, to any server.
func (j *judgement) latestConnect(runner int, before time.Time) (latest time.Time) {
	for i := range j.acts {
		if a := &j.acts[i]; a.connect && a.runner() == runner && a.at.Before(before) {
			latest = a.at
		}
	}
	return latest
}
