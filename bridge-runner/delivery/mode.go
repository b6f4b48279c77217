// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

// mode says whether messages that arrive go to the queue or to pending, and which messages
// the spool writes.
//
//	opening ───────► direct ◄──────┐
//	   │             │    │        │
//	   │             │    ▼        │
//	   │             │  joining    │
//	   │             ▼    ▼  ▲     │
//	   └───────────► spooling ─────┘
//
// Whether the disk works, and whether it is full, is no mode: while a disk cannot be
// written, its records are still read and delivered, so a failure can come and go in each
// mode. The mode changes only in next, which is pure.
type mode uint8

const (
	// modeOpening: the log was not opened yet. Messages that arrive wait in pending, so that
	// none is sent before an older backlog. The queue is empty.
	modeOpening mode = iota
	// modeDirect: messages that arrive go to the queue, and nothing is written. Pending is
	// empty. The messages of the queue that are on disk are in front of the others, except
	// messages that await their dead letters since modeJoining.
	modeDirect
	// modeJoining: the log was opened late, and it has a backlog. The messages that were in
	// the queue by then are not written, because their records would be behind the backlog,
	// and to release them would release the backlog, too. So they are sent first: they are
	// the messages of the queue that are not on disk. The records are read into the queue
	// behind them. Messages that arrive wait in pending, and nothing is written.
	modeJoining
	// modeSpooling: messages that arrive go to pending and are written. Spooling starts with
	// the messages of the queue, which are also in pending. The records of all others are
	// read into the queue.
	modeSpooling
)

// event is an occurrence that may change the mode.
type event uint8

const (
	// eventChecked: nothing has happened, but the facts may have changed.
	eventChecked event = iota
	// eventOpened: the log was opened. This happens once.
	eventOpened
	// eventNeeded: messages must not be held any longer without being on disk.
	eventNeeded
	// eventLost: the destination was lost while messages were in the queue.
	eventLost
)

// facts are the conditions on which a change of the mode depends.
type facts struct {
	// connected says that there is a destination, and stopping that the pipe drains.
	connected, stopping bool
	// failed says that the disk cannot be written.
	failed bool
	// unread says that the log may hold records that were not read.
	unread bool
	// writing says that a batch is being written, or that records are being restored.
	writing bool
	// alsoQueued says that messages of the queue are in pending, too.
	alsoQueued bool
	// notOnDisk says that the queue holds messages that are not on disk.
	notOnDisk bool
	// slow says that the oldest message of the queue has been held for long.
	slow bool
}

// action is the work that a change of the mode causes.
type action uint8

const (
	// actNothing: the queue and pending stay as they are.
	actNothing action = iota
	// actCopy: the messages of the queue that are not on disk are put into pending, too.
	actCopy
	// actWithdraw: the copies are removed from pending. The messages stay in the queue.
	actWithdraw
	// actMoveBehind: as actWithdraw, and the messages of the queue that are not on disk move
	// to the front of pending, so that they are written behind the records of the log.
	actMoveBehind
	// actTakeBack: as actWithdraw, and the messages of pending move to the back of the queue.
	actTakeBack
)

// next returns the mode after an event, and the work to be done.
func (m mode) next(e event, f facts) (mode, action) {
	switch {
	case e == eventOpened:
		return m.opened(f)
	case m == modeDirect:
		if e != eventChecked && !f.failed && !f.stopping {
			return modeSpooling, actCopy
		}
	case m == modeJoining:
		switch {
		case e == eventLost:
			return modeSpooling, actMoveBehind
		case e == eventChecked && !f.notOnDisk:
			return modeSpooling, actNothing
		}
	case e == eventChecked && f.mayStop(): // opening or spooling
		return modeDirect, actTakeBack
	}
	return m, actNothing
}

// opened is next for eventOpened. An empty log changes nothing for the messages in memory.
func (m mode) opened(f facts) (mode, action) {
	switch {
	case f.unread && f.notOnDisk && f.connected:
		return modeJoining, actWithdraw
	case f.unread:
		return modeSpooling, actMoveBehind
	case m == modeOpening:
		return modeSpooling, actNothing
	}
	return m, actNothing
}

// mayStop reports whether messages may go directly to the destination: the whole log is
// read, and the destination keeps up or the disk cannot be used.
func (f facts) mayStop() bool {
	if f.writing || f.unread {
		return false
	}
	return f.failed || f.connected && !f.alsoQueued && !f.slow
}
