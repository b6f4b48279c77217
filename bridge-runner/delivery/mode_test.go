// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"fmt"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

func TestMode_Next_EachModeWithEachEvent(t *testing.T) {
	idle := facts{connected: true} // all is read, and the destination keeps up
	with := func(change func(*facts)) facts {
		f := idle
		change(&f)
		return f
	}
	var (
		disconnected = with(func(f *facts) { f.connected = false })
		stopping     = with(func(f *facts) { f.stopping = true })
		failed       = with(func(f *facts) { f.failed = true })
		failedAlone  = with(func(f *facts) { f.failed, f.connected = true, false })
		failedCopies = with(func(f *facts) { f.failed, f.alsoQueued, f.slow = true, true, true })
		failedUnread = with(func(f *facts) { f.failed, f.unread = true, true })
		unread       = with(func(f *facts) { f.unread = true })
		writing      = with(func(f *facts) { f.writing = true })
		alsoQueued   = with(func(f *facts) { f.alsoQueued = true })
		slow         = with(func(f *facts) { f.slow = true })
		notOnDisk    = with(func(f *facts) { f.notOnDisk = true })
		late         = with(func(f *facts) { f.unread, f.notOnDisk = true, true })
		lateAlone    = with(func(f *facts) { f.unread, f.notOnDisk, f.connected = true, true, false })
	)
	type pair struct {
		mode  mode
		event event
	}
	tested := map[pair]bool{{modeJoining, eventOpened}: true} // never happens: the log is open
	for _, c := range []struct {
		mode  mode
		event event
		facts facts
		want  mode
		work  action
	}{
		{modeOpening, eventChecked, unread, modeOpening, actNothing}, // nothing has been tried yet
		{modeOpening, eventChecked, failedUnread, modeOpening, actNothing},
		{modeOpening, eventChecked, failed, modeDirect, actTakeBack},
		{modeOpening, eventChecked, failedAlone, modeDirect, actTakeBack},
		{modeOpening, eventChecked, disconnected, modeOpening, actNothing},
		{modeOpening, eventChecked, idle, modeDirect, actTakeBack},
		{modeOpening, eventOpened, idle, modeSpooling, actNothing},
		{modeOpening, eventOpened, disconnected, modeSpooling, actNothing},
		{modeOpening, eventOpened, unread, modeSpooling, actMoveBehind},
		{modeOpening, eventNeeded, unread, modeOpening, actNothing},
		{modeOpening, eventLost, unread, modeOpening, actNothing},

		{modeDirect, eventChecked, idle, modeDirect, actNothing},
		{modeDirect, eventChecked, disconnected, modeDirect, actNothing},
		{modeDirect, eventChecked, slow, modeDirect, actNothing}, // the caller decides when it is too slow
		{modeDirect, eventChecked, failed, modeDirect, actNothing},
		{modeDirect, eventOpened, idle, modeDirect, actNothing},
		{modeDirect, eventOpened, notOnDisk, modeDirect, actNothing}, // an empty log
		{modeDirect, eventOpened, late, modeJoining, actWithdraw},
		{modeDirect, eventOpened, lateAlone, modeSpooling, actMoveBehind},
		{modeDirect, eventOpened, unread, modeSpooling, actMoveBehind},
		{modeDirect, eventNeeded, idle, modeSpooling, actCopy},
		{modeDirect, eventNeeded, notOnDisk, modeSpooling, actCopy},
		{modeDirect, eventNeeded, failed, modeDirect, actNothing},
		{modeDirect, eventNeeded, stopping, modeDirect, actNothing},
		{modeDirect, eventLost, disconnected, modeSpooling, actCopy},
		{modeDirect, eventLost, failedAlone, modeDirect, actNothing},
		{modeDirect, eventLost, stopping, modeDirect, actNothing},

		{modeJoining, eventChecked, late, modeJoining, actNothing},
		{modeJoining, eventChecked, notOnDisk, modeJoining, actNothing},
		{modeJoining, eventChecked, with(func(f *facts) { f.notOnDisk, f.failed = true, true }), modeJoining, actNothing},
		{modeJoining, eventChecked, unread, modeSpooling, actNothing},
		{modeJoining, eventChecked, idle, modeSpooling, actNothing},
		{modeJoining, eventNeeded, late, modeJoining, actNothing},
		{modeJoining, eventLost, lateAlone, modeSpooling, actMoveBehind},
		{modeJoining, eventLost, failedAlone, modeSpooling, actMoveBehind},

		{modeSpooling, eventChecked, idle, modeDirect, actTakeBack},
		{modeSpooling, eventChecked, stopping, modeDirect, actTakeBack},
		{modeSpooling, eventChecked, notOnDisk, modeDirect, actTakeBack},
		{modeSpooling, eventChecked, failed, modeDirect, actTakeBack},
		{modeSpooling, eventChecked, failedAlone, modeDirect, actTakeBack},
		{modeSpooling, eventChecked, failedCopies, modeDirect, actTakeBack},
		{modeSpooling, eventChecked, failedUnread, modeSpooling, actNothing}, // the records go first
		{modeSpooling, eventChecked, disconnected, modeSpooling, actNothing},
		{modeSpooling, eventChecked, unread, modeSpooling, actNothing},
		{modeSpooling, eventChecked, writing, modeSpooling, actNothing},
		{modeSpooling, eventChecked, alsoQueued, modeSpooling, actNothing},
		{modeSpooling, eventChecked, slow, modeSpooling, actNothing},
		{modeSpooling, eventOpened, notOnDisk, modeSpooling, actNothing}, // an empty log
		{modeSpooling, eventOpened, late, modeJoining, actWithdraw},
		{modeSpooling, eventOpened, lateAlone, modeSpooling, actMoveBehind},
		{modeSpooling, eventNeeded, notOnDisk, modeSpooling, actNothing},
		{modeSpooling, eventLost, disconnected, modeSpooling, actNothing},
	} {
		tested[pair{c.mode, c.event}] = true
		if got, work := c.mode.next(c.event, c.facts); got != c.want || work != c.work {
			t.Errorf("mode %d, event %d, %+v: mode %d and action %d, want %d and %d", c.mode, c.event, c.facts, got, work, c.want, c.work)
		}
	}
	for m := modeOpening; m <= modeSpooling; m++ {
		for e := eventChecked; e <= eventLost; e++ {
			if !tested[pair{m, e}] {
				t.Errorf("mode %d is not tested with event %d", m, e)
			}
		}
	}
}

func TestCondition_State_FollowsFromProblemsAndRecords(t *testing.T) {
	const empty, buffering, draining, full, failed = v1alpha1.BacklogEmpty, v1alpha1.BacklogBuffering, v1alpha1.BacklogDraining, v1alpha1.BacklogFull, v1alpha1.BacklogFailed
	for name, c := range map[string]struct {
		condition condition
		before    v1alpha1.BacklogState
		want      string
	}{
		"no records":                                 {condition{empty: true, connected: true}, empty, "Empty "},
		"no records and no destination":              {condition{empty: true}, empty, "Empty "},
		"records and no destination":                 {condition{}, empty, "Buffering "},
		"records":                                    {condition{connected: true}, buffering, "Draining "},
		"no records since a moment":                  {condition{empty: true, recently: true, connected: true}, draining, "Draining "},
		"no records for longer":                      {condition{empty: true, connected: true}, draining, "Empty "},
		"no records since a moment, without a drain": {condition{empty: true, recently: true}, buffering, "Empty "},
		"no records since a moment, full before":     {condition{empty: true, recently: true, connected: true}, full, "Empty "},
		"full":                                       {condition{full: "full", connected: true}, draining, "Full full"},
		"full and unreadable":                        {condition{full: "full", unreadable: "unreadable"}, buffering, "Failed unreadable"},
		"full, unreadable and failed":                {condition{full: "full", unreadable: "unreadable", failure: "failure"}, buffering, "Failed failure"},
		"failed while records are sent":              {condition{failure: "failure", connected: true}, draining, "Failed failure"},
		"failed before the log is opened":            {condition{failure: "failure", empty: true}, empty, "Failed failure"},
		"damaged":                                    {condition{damage: "damage", empty: true}, failed, "Empty damage"},
		"damaged, with records":                      {condition{damage: "damage", connected: true}, buffering, "Draining damage"},
		"damaged and full":                           {condition{damage: "damage", full: "full"}, buffering, "Full full"},
	} {
		if state, message := c.condition.state(c.before); fmt.Sprintf("%s %s", state, message) != c.want {
			t.Errorf("%s: %s %q, want %q", name, state, message, c.want)
		}
	}
}
