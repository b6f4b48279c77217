// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package role

import (
	"cmp"
	"time"
)

// ID is the identity of a member, which is one process.
type ID struct {
	// Pod is the name of the pod, or of the machine if there is no Lease. At any time, at most one
	// process with this name lives.
	Pod string
	// Process is a random text that each process makes at its start.
	Process string
}

func (id ID) compare(other ID) int {
	return cmp.Or(cmp.Compare(id.Pod, other.Pod), cmp.Compare(id.Process, other.Process))
}

// Term orders claims.
type Term struct {
	// Lease is the term of the Lease with the latest written claim that the member knows.
	Lease uint64
	// Unwritten is the number of members that have become active since then without a write.
	Unwritten uint64
}

func (t Term) compare(other Term) int {
	return cmp.Or(cmp.Compare(t.Lease, other.Lease), cmp.Compare(t.Unwritten, other.Unwritten))
}

func (t Term) less(other Term) bool { return t.compare(other) < 0 }

// later returns the later of two terms.
func (t Term) later(other Term) Term {
	if t.less(other) {
		return other
	}
	return t
}

// after returns the n-th term after t of a member that becomes active without a write.
func (t Term) after(n uint64) Term { return Term{t.Lease, t.Unwritten + n} }

// Announcement is a member's statement about itself.
type Announcement struct {
	State State
	// Term is the term of the member's claim. It is zero in the states Starting, Standby and TakingOver.
	Term Term
	// Warm is true if the member can take over at once.
	Warm bool
	// Successor is the standby that may become active by the proof of the member's death alone.
	Successor ID
	// Duration is the member's duration of the Lease. It is 0 if it is not known.
	Duration time.Duration
	// Activations is the number of times that the process has become active. It is 0 from an earlier version.
	Activations uint64
}

// Record is the content of the Lease.
type Record struct {
	// UID changes if the Lease is deleted and created again.
	UID string
	// Version changes with each write of the object.
	Version string
	// Holder is zero if the Lease was never held, or was released.
	Holder ID
	// Term is the number of changes of the holder.
	Term uint64
	// Renewed changes with each renewal. It is compared for equality only, because the clocks of the
	// members differ.
	Renewed string
	// Duration is the holder's duration of the Lease. If it is not greater than 0, this member's duration
	// is used.
	Duration time.Duration
	// Members are the processes that have entered themselves.
	Members []ID
}

// Result is the result of a write.
type Result string

const (
	// Written means that the write succeeded.
	Written Result = "written"
	// Conflict means that the Lease had changed. Its present record comes with the result.
	Conflict Result = "conflict"
	// Unknown means that the API server has not answered, or refuses all writes. The write may succeed
	// later.
	Unknown Result = "unknown"
)

// Event is an input of the machine.
type Event interface{ event() }

type (
	// LeaseObserved reports the record of the Lease: at the start, when it changes, and in answer to
	// ReadLease. Asked is that action's number, or 0.
	LeaseObserved struct {
		Record Record
		Asked  uint64
	}
	// LeaseUnreadable reports that ReadLease failed.
	LeaseUnreadable struct{}
	// LeaseWritten reports the end of Acquire, Renew, Release or Join. Record is the present record. It is
	// zero if the result is Unknown.
	LeaseWritten struct {
		Result Result
		Record Record
	}
	// TermFound reports a term with which another member has held the Lease, although the record does not
	// have it any more: the Lease was created again, or was restored. A member that holds the Lease writes
	// it with a later term.
	TermFound struct{ Term uint64 }
	// PeerConnected reports an authenticated connection to a member, and its hello. The driver sends a
	// heartbeat on it at once, because the own hello may be old.
	PeerConnected struct {
		From ID
		Said Announcement
	}
	// SettingsKnown reports the settings of this member of a Pair, when the other one has connected. The
	// driver chooses one preferred member if both or none of them are preferred, and the same timeout for both
	// if they differ.
	SettingsKnown struct {
		Preferred bool
		Timeout   time.Duration
	}
	// PeerHeartbeat reports a heartbeat.
	PeerHeartbeat struct {
		From ID
		Said Announcement
	}
	// PeerAnswered reports the answer to a Query, whose number is Asked, see Answer.
	PeerAnswered struct {
		From      ID
		Said      Announcement
		Asked     uint64
		Rival     ID
		RivalTerm Term
	}
	// PeerEnded reports that a connection has ended without a goodbye, or is silent. Continues is true if the
	// member has closed it and said that its process continues, for example because there is another one: then
	// the next Dial can wait.
	PeerEnded struct {
		From      ID
		Continues bool
	}
	// PeerReplaced reports that the driver has closed a connection in favour of one of another process of the
	// same machine, whose PeerConnected follows or has just been reported. One of the two processes has ended, and it is
	// not known which one: a hello may be read late.
	PeerReplaced struct{ From ID }
	// PeerGoodbye reports that a member's process ends, and does not forward any more.
	PeerGoodbye struct{ From ID }
	// PeerAsksHandOver reports that a standby asks this member to hand over.
	PeerAsksHandOver struct{ From ID }
	// PeerHandedOver reports that the active member has handed over to this member.
	PeerHandedOver struct {
		From ID
		Term Term
	}
	// DialFailed reports that a Dial failed. Dead is true if this proves that the
	// process has ended: its host refuses the connection, or another process answers.
	DialFailed struct {
		To   ID
		Dead bool
	}
	// PeerAsked reports a Query of another member, with its number.
	PeerAsked struct {
		From  ID
		Asked uint64
	}
	// ConnectRequested reports that the driver is about to write a CONNECT packet for a bridge. It writes
	// the packet when the machine permits it. If the bridge is suspended, the driver requests it again
	// after Resume.
	ConnectRequested struct{ Bridge string }
	// SessionEnded reports that a server has ended an established session of a bridge. Taken is true if
	// the server says that another client has taken the session over, as MQTT 5 permits.
	SessionEnded struct {
		Bridge string
		Taken  bool
	}
	// Froze reports that the process did not run for [Config.FreezeLimit]. It is reported before any
	// event that has happened meanwhile, and the driver has written nothing to a server since.
	Froze struct{}
	// Warm reports whether the member can take over at once.
	Warm struct{ Warm bool }
	// ShutdownRequested reports that the process is to end.
	ShutdownRequested struct{}
	// HandOverRequested reports that a user requests a hand-over. It has no effect without a successor
	// that is connected and warm.
	HandOverRequested struct{}
	// TakeOverRequested reports that a user declares the peer dead. It has an effect only in a Pair.
	TakeOverRequested struct{}
	// Drained reports the end of Drain.
	Drained struct{}
	// Tick reports that time has passed. The driver reports it at each [Config.Heartbeat].
	Tick struct{}
)

func (LeaseObserved) event()     {}
func (LeaseUnreadable) event()   {}
func (LeaseWritten) event()      {}
func (TermFound) event()         {}
func (PeerConnected) event()     {}
func (SettingsKnown) event()     {}
func (PeerHeartbeat) event()     {}
func (PeerAnswered) event()      {}
func (PeerEnded) event()         {}
func (PeerReplaced) event()      {}
func (PeerGoodbye) event()       {}
func (PeerAsksHandOver) event()  {}
func (PeerHandedOver) event()    {}
func (DialFailed) event()        {}
func (PeerAsked) event()         {}
func (ConnectRequested) event()  {}
func (SessionEnded) event()      {}
func (Froze) event()             {}
func (Warm) event()              {}
func (ShutdownRequested) event() {}
func (HandOverRequested) event() {}
func (TakeOverRequested) event() {}
func (Drained) event()           {}
func (Tick) event()              {}
